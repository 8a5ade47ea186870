// Arithmetic of constant propagation; the batch extent is a symbol that passes through but cannot be computed with.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/io/onnx/fold.hpp"

namespace binade::importer {
namespace {

constexpr float kBatchReal = static_cast<float>(kBatch);  // a power of two, hence exact

std::int64_t combine(char op, std::int64_t a, std::int64_t b) {
  const bool neutral = (op == '+' && (a == 0 || b == 0)) || (op == '-' && b == 0) ||
                       (op == '*' && (a == 1 || b == 1)) || (op == '/' && b == 1);
  if ((a == kBatch || b == kBatch) && !neutral) throw DataError("it computes with the batch size");
  std::int64_t result = 0;
  bool overflow = false;
  if (op == '+') overflow = __builtin_add_overflow(a, b, &result);
  if (op == '-') overflow = __builtin_sub_overflow(a, b, &result);
  if (op == '*') overflow = __builtin_mul_overflow(a, b, &result);
  if (op == '/' && (b == 0 || (b == -1 && a == INT64_MIN))) throw DataError("it divides by zero");
  if (op == '/') result = a / b;
  if (overflow) throw DataError("its integers overflow");
  return result;
}

float combine(char op, float a, float b) {
  if ((a == kBatchReal || b == kBatchReal) && !(op == '*' && (a == 1 || b == 1)))
    throw DataError("it computes with the batch size");
  return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
}

}  // namespace

void check_size(const NodeView& node, std::int64_t made, std::int64_t given) {
  if (made > std::max(given, kMaxComputed))
    throw DataError(fmt::format("it makes a constant of {} elements; at most {} are computed while importing", made,
                                std::max(given, kMaxComputed)));
  node.importer().spend(made);
}

Constant fold_arithmetic(const NodeView& node) {
  const char op = node.op() == "Add" ? '+' : node.op() == "Sub" ? '-' : node.op() == "Mul" ? '*' : '/';
  const Constant& a = node.constant(0, "operand");
  const Constant& b = node.constant(1, "operand");
  if (a.is_float() != b.is_float()) throw DataError("its operands have different types");
  const std::size_t rank = std::max(a.dims.size(), b.dims.size());
  Dims dims(rank), step_a(rank), step_b(rank);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {  // aligned at the end
    const auto size = [&](const Constant& x) {
      return i + x.dims.size() < rank ? 1 : x.dims[i + x.dims.size() - rank];
    };
    const std::int64_t sa = size(a), sb = size(b);
    if (sa != sb && sa != 1 && sb != 1)
      throw DataError(fmt::format("its operands {} and {} do not broadcast", to_string(a.dims), to_string(b.dims)));
    dims[i] = sa == 1 ? sb : sa;
    step_a[i] = sa == 1 ? 0 : strides(a.dims)[i + a.dims.size() - rank];
    step_b[i] = sb == 1 ? 0 : strides(b.dims)[i + b.dims.size() - rank];
    if (dims[i] > 0 && count > (std::int64_t{1} << 40) / dims[i]) throw DataError("its result is absurdly large");
    count *= dims[i];
  }
  check_size(node, count, std::max(a.count(), b.count()));
  const Dims steps = strides(dims);
  return std::visit(
      [&](const auto& left) {
        const auto& right = std::get<std::remove_cvref_t<decltype(left)>>(b.data);
        std::remove_cvref_t<decltype(left)> made(static_cast<std::size_t>(count));
        for (std::size_t flat = 0; flat < made.size(); ++flat) {
          std::int64_t rest = static_cast<std::int64_t>(flat), ia = 0, ib = 0;
          for (std::size_t k = 0; k < rank; ++k) {
            ia += rest / steps[k] * step_a[k], ib += rest / steps[k] * step_b[k];
            rest %= steps[k];
          }
          made[flat] = combine(op, left[static_cast<std::size_t>(ia)], right[static_cast<std::size_t>(ib)]);
        }
        return Constant{dims, std::move(made)};
      },
      a.data);
}

Constant fold_pointwise(const NodeView& node) {
  Constant x = node.constant(0, "input");
  node.importer().spend(x.count());
  const std::string& op = node.op();
  if (op == "Identity") return x;
  if (!x.is_float()) {
    auto& integers = std::get<1>(x.data);
    for (auto& v : integers) v = op == "Neg" ? combine('-', std::int64_t{0}, v) : v;
    return x;
  }
  for (float& v : std::get<0>(x.data)) {
    if (v == kBatchReal && op == "Neg") throw DataError("it computes with the batch size");
    v = op == "Floor" ? std::floor(v) : op == "Ceil" ? std::ceil(v) : op == "Sqrt" ? std::sqrt(v) : -v;
  }
  return x;
}

}  // namespace binade::importer
