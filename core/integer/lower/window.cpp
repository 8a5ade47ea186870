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

}  // namespace

bool lower_window(Lowering& to, const Node& node, const Chain& chain) {
  Operation operation;
  const bool global = std::holds_alternative<GlobalAvgPool>(node.op);
  const auto* resize = std::get_if<Resize>(&node.op);
  if (const auto* pool = std::get_if<AvgPool>(&node.op); pool != nullptr || global) {
    const Region in = to.codes(node.in[0]);
    AvgPoolInstr instruction =
        global ? AvgPoolInstr{.kernel_h = in.shape.h, .kernel_w = in.shape.w, .stride_h = 1, .stride_w = 1}
               : average(*pool);
    instruction.in = in;
    instruction.requant = to.requant(chain, in.spec.frac);
    operation = instruction;
  } else if (resize != nullptr && resize->interpolation == Interpolation::bilinear) {
    const Region in = to.codes(node.in[0]);
    const int bits = resize->weight_bits > 0 ? resize->weight_bits : 11;
    operation = ResizeInstr{.in = in,
                            .weight_bits = bits,
                            .rows = to.constants_int32(taps_of(*resize, in.shape.h, resize->height, bits)),
                            .columns = to.constants_int32(taps_of(*resize, in.shape.w, resize->width, bits)),
                            .requant = to.requant(chain, in.spec.frac + 2 * bits)};
  } else {
    return false;
  }
  const Region out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  std::visit([&](auto& o) { o.out = out; }, operation);
  to.set_codes(chain.result, out);
  to.emit(chain.result, std::move(operation));
  return true;
}

}  // namespace binade
