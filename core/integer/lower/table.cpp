// Functions of one code, as tables; softmax, as a table of exponentials.
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/integer/lower/lowering.hpp"

namespace binade {
namespace {

/// The op applied to a row of numbers, by its own forward: graph and table cannot differ.
Tensor<double> applied(const Node& node, const Tensor<double>& x) {
  if (node.in.size() != 1) throw DataError(fmt::format("'{}' behind a table has a parameter of its own", node.name));
  Tensor<double> y(x.shape());
  OpState state;
  const View<const double> in = x.view();
  forward(node.op, Forward<double>{.in = {&in, 1}, .out = y.view(), .state = state});
  return y;
}

}  // namespace

void lower_function(Lowering& to, const Node& node, const Chain& chain) {
  TableInstr table{.in = to.codes(node.in[0])};
  const QuantSpec from = table.in.spec;
  Tensor<double> values({1, 1, 1, static_cast<int>(from.max_code() - from.min_code() + 1)});
  for (std::int64_t i = 0; i < values.shape().count(); ++i) values[i] = dequantize(from.min_code() + i, from);
  values = applied(node, values);
  for (const Node* activation : chain.activations) values = applied(*activation, values);
  std::vector<std::int32_t> codes;
  for (const double value : values.span()) codes.push_back(quantize(value, chain.spec, chain.rounding));
  table.table = to.constants_codes(codes, code_bytes(chain.spec));
  table.out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  to.set_codes(chain.result, table.out);
  to.emit(chain.result, std::move(table));
}

void emit(Lowering& to, const Node& node, const Softmax& op, const Chain& chain) {
  if (op.exponential_bits == 0) {
    throw DataError("its exponentials are real; a quantized graph has exponential_bits set (binade ptq does)");
  }
  if (!chain.activations.empty()) throw DataError("an activation directly behind softmax is not supported");
  SoftmaxInstr softmax{.in = to.codes(node.in[0])};
  const QuantSpec from = softmax.in.spec;
  std::vector<std::int32_t> exponentials;
  for (std::int64_t d = 0; d <= from.max_code() - from.min_code(); ++d) {
    const double e = std::floor(std::ldexp(std::exp(-dequantize(d, from)), op.exponential_bits) + 0.5);
    exponentials.push_back(static_cast<std::int32_t>(e));
    if (e == 0) break;
  }
  softmax.count = static_cast<std::int32_t>(exponentials.size());
  softmax.exponentials = to.constants_int32(exponentials);
  softmax.requant = to.requant(chain, 0);
  softmax.out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  to.set_codes(chain.result, softmax.out);
  to.emit(chain.result, std::move(softmax));
}

}  // namespace binade
