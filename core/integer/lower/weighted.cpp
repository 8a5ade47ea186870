// Convolutions, transposed convolutions and fully connected layers, with their bounds.
#include <bit>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/integer/lower/lowering.hpp"

namespace binade {
namespace {

template <class Op>
void set_geometry(ConvInstr& conv, const Op& op) {
  conv.stride_h = op.stride_h, conv.stride_w = op.stride_w;
  conv.pad_top = op.pad_top, conv.pad_left = op.pad_left;
  conv.dilation_h = op.dilation_h, conv.dilation_w = op.dilation_w;
  conv.groups = op.groups;
}

}  // namespace

LayerBounds bounds_of(const ConvInstr& conv) {
  LayerBounds bounds{.acc_bound = conv.acc_bound, .shift = conv.requant.shift - conv.requant.slope_frac};
  bounds.acc_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(conv.acc_bound))) + 1;
  const std::int64_t half = bounds.shift > 0 && bounds.shift < 40 ? std::int64_t{1} << (bounds.shift - 1) : 0;
  bounds.fp32_exact = bounds.shift < 40 && conv.acc_bound + half <= std::int64_t{1} << 24;
  return bounds;
}

namespace {

void emit_weighted(Lowering& to, const Node& node, ConvInstr conv, const Chain& chain) {
  conv.in = to.codes(node.in[0]);
  const Lowering::Quantized weights = to.quantized_parameter(node.in[1]);
  if (weights.spec.bits > 16 || !weights.spec.is_signed) throw DataError("weights are signed and have 2 to 16 bits");
  const Shape shape = weights.reals->shape();
  conv.kernel_h = shape.h, conv.kernel_w = shape.w;
  conv.weight_bits = weights.spec.bits;
  conv.weights = to.constants_codes(weights.codes, code_bytes(weights.spec));

  const int acc_frac = conv.in.spec.frac + weights.spec.frac;
  std::vector<std::int32_t> bias(static_cast<std::size_t>(shape.n));
  std::int64_t saturated = 0;
  if (node.in.size() > 2) {
    Lowering::Quantized reals = to.quantized_parameter(node.in[2]);
    conv.bias_shift = acc_frac - reals.spec.frac;
    if (conv.bias_shift < 0 || conv.bias_shift > 31) {
      throw DataError(fmt::format(
          "its bias has fraction length {}, the accumulator {}; the bias may be coarser by up to 31 bits, not finer",
          reals.spec.frac, acc_frac));
    }
    bias = std::move(reals.codes);
    saturated = reals.saturated;
  }
  conv.bias = to.constants_int32(bias);
  conv.requant = to.requant(chain, acc_frac);
  conv.out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  conv.acc_bound = accumulator_bound(conv, to.constants());

  LayerBounds bounds = bounds_of(conv);
  bounds.name = node.name;
  bounds.biases = node.in.size() > 2 ? shape.n : 0;
  bounds.saturated_biases = saturated;
  bounds.saturated_weights = weights.saturated;
  to.set_codes(chain.result, conv.out);
  bounds.instruction = to.emit(chain.result, std::move(conv));
  to.add_bounds(std::move(bounds));
}

}  // namespace

void emit(Lowering& to, const Node& node, const Conv2d& op, const Chain& chain) {
  ConvInstr conv;
  set_geometry(conv, op);
  emit_weighted(to, node, conv, chain);
}

void emit(Lowering& to, const Node& node, const ConvTranspose2d& op, const Chain& chain) {
  ConvInstr conv;
  set_geometry(conv, op);
  conv.transposed = true;
  emit_weighted(to, node, conv, chain);
}

void emit(Lowering& to, const Node& node, const Linear&, const Chain& chain) {
  emit_weighted(to, node, {}, chain);
}

}  // namespace binade
