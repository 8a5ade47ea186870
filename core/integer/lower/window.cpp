// Averages and bilinear resizes.
#include <cmath>

#include "core/base/error.hpp"
#include "core/integer/lower/lowering.hpp"
#include "core/ops/resize_taps.hpp"

namespace binade {
namespace {

AvgPoolInstr average(const AvgPool& op) {
  return {.kernel_h = op.kernel_h,
          .kernel_w = op.kernel_w,
          .stride_h = op.stride_h,
          .stride_w = op.stride_w,
          .pad_top = op.pad_top,
          .pad_left = op.pad_left,
          .pad_bottom = op.pad_bottom,
          .pad_right = op.pad_right,
          .count_include_pad = op.count_include_pad};
}

/// One axis of a bilinear resize; `bits` is what the weights need.
std::vector<std::int32_t> taps_of(const Resize& op, int in, int out, int bits) {
  std::vector<std::int32_t> table;
  for (const ResizeWeights& tap : resize_weights(op, in, out)) {
    const double weight = std::ldexp(tap.weight, bits);
    if (weight != std::floor(weight)) {
      throw DataError("its weights are real; a quantized graph has weight_bits set (binade ptq does)");
    }
    table.insert(table.end(), {tap.low, tap.high, static_cast<std::int32_t>(weight)});
  }
  return table;
}

/// Gives the operation its result.
void finish(Lowering& to, const Chain& chain, Operation operation) {
  const Region out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  std::visit([&](auto& o) { o.out = out; }, operation);
  to.set_codes(chain.result, out);
  to.emit(chain.result, std::move(operation));
}

void emit_average(Lowering& to, const Region& in, AvgPoolInstr instruction, const Chain& chain) {
  instruction.in = in;
  instruction.requant = to.requant(chain, in.spec.frac);
  finish(to, chain, instruction);
}

}  // namespace

void emit(Lowering& to, const Node& node, const AvgPool& op, const Chain& chain) {
  emit_average(to, to.codes(node.in[0]), average(op), chain);
}

void emit(Lowering& to, const Node& node, const GlobalAvgPool&, const Chain& chain) {
  const Region in = to.codes(node.in[0]);
  emit_average(to, in, {.kernel_h = in.shape.h, .kernel_w = in.shape.w, .stride_h = 1, .stride_w = 1}, chain);
}

/// Bilinear.
void emit(Lowering& to, const Node& node, const Resize& op, const Chain& chain) {
  const Region in = to.codes(node.in[0]);
  const int bits = op.weight_bits > 0 ? op.weight_bits : 11;
  const std::uint32_t rows = to.constants_int32(taps_of(op, in.shape.h, op.height, bits));
  const std::uint32_t columns = to.constants_int32(taps_of(op, in.shape.w, op.width, bits));
  finish(to, chain,
         ResizeInstr{.in = in,
                     .weight_bits = bits,
                     .rows = rows,
                     .columns = columns,
                     .requant = to.requant(chain, in.spec.frac + 2 * bits)});
}

}  // namespace binade
