// Add, Mul, Concat, changes of grid, and what keeps a grid.
#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/integer/lower/lowering.hpp"
#include "core/ops/resize_taps.hpp"

namespace binade {
namespace {

Region result_of(Lowering& to, const Chain& chain) {
  const Region out = to.tensor(to.graph().name(chain.result), to.graph().shape(chain.result), chain.spec);
  to.set_codes(chain.result, out);
  return out;
}

/// The requantization of some channels: their own slopes.
Requant of_channels(Lowering& to, const Chain& chain, int acc_frac, int first, int count) {
  Requant requant = to.requant(chain, acc_frac);
  if (requant.slope_count <= 1) return requant;
  requant.slopes += static_cast<std::uint32_t>(4 * first);
  requant.slope_count = count;
  return requant;
}

}  // namespace

void emit(Lowering& to, const Node& node, const Add&, const Chain& chain) {
  AddInstr add{.a = to.codes(node.in[0], true), .b = to.codes(node.in[1], true)};
  const int frac = std::max(add.a.spec.frac, add.b.spec.frac);
  add.shift_a = frac - add.a.spec.frac;
  add.shift_b = frac - add.b.spec.frac;
  if (std::max(add.shift_a, add.shift_b) > 31) {
    throw DataError(fmt::format("its operands have fraction lengths {} and {}; they may differ by up to 31",
                                int{add.a.spec.frac}, int{add.b.spec.frac}));
  }
  add.requant = to.requant(chain, frac);
  add.out = result_of(to, chain);
  to.emit(chain.result, std::move(add));
}

void emit(Lowering& to, const Node& node, const Mul&, const Chain& chain) {
  MulInstr mul{.a = to.codes(node.in[0], true), .b = to.codes(node.in[1], true)};
  mul.requant = to.requant(chain, mul.a.spec.frac + mul.b.spec.frac);
  mul.out = result_of(to, chain);
  to.emit(chain.result, std::move(mul));
}

void emit(Lowering& to, const Node& node, const Concat&, const Chain& chain) {
  std::vector<Region> operands;
  for (const ValueId id : node.in) operands.push_back(to.codes(id));
  const Region out = result_of(to, chain);
  int first = 0;
  for (const Region& in : operands) {
    const Requant requant = of_channels(to, chain, in.spec.frac, first, in.shape.c);
    to.emit(chain.result, RescaleInstr{.in = in, .out = out, .first_channel = first, .requant = requant});
    first += in.shape.c;
  }
}

/// A pad with a value that is not zero: its input is brought to the grid first, then the value's code goes around it.
void emit(Lowering& to, const Node& node, const Pad& pad, const Chain& chain) {
  if (!chain.activations.empty()) throw DataError("an activation directly behind a pad with a value is not supported");
  const Region in = to.codes(node.in[0]);
  const Region inner = to.tensor({}, in.shape, chain.spec);
  to.emit(chain.result, RescaleInstr{.in = in, .out = inner, .requant = to.requant(chain, in.spec.frac)});
  to.emit(chain.result, PadInstr{.in = inner,
                                 .out = result_of(to, chain),
                                 .top = pad.top,
                                 .left = pad.left,
                                 .first_channel = pad.channels_before,
                                 .fill = quantize(pad.value, chain.spec, chain.rounding)});
}

void lower_rescale(Lowering& to, const Chain& chain) {
  const Region in = to.codes(chain.core);
  RescaleInstr rescale{.in = in, .requant = to.requant(chain, in.spec.frac)};
  rescale.out = result_of(to, chain);
  to.emit(chain.result, std::move(rescale));
}

Operation moving(Lowering&, const Slice& op, const Region& in) {
  return SliceInstr{.in = in, .axis = op.axis, .begin = op.begin, .step = op.step};
}

Operation moving(Lowering&, const Pad& op, const Region& in) {
  return PadInstr{.in = in, .top = op.top, .left = op.left, .first_channel = op.channels_before};
}

Operation moving(Lowering&, const Reshape&, const Region& in) {
  return ReshapeInstr{.in = in};
}

Operation moving(Lowering&, const MaxPool& op, const Region& in) {
  return MaxPoolInstr{.in = in,
                      .kernel_h = op.kernel_h,
                      .kernel_w = op.kernel_w,
                      .stride_h = op.stride_h,
                      .stride_w = op.stride_w,
                      .pad_top = op.pad_top,
                      .pad_left = op.pad_left};
}

/// Nearest neighbours.
Operation moving(Lowering& to, const Resize& op, const Region& in) {
  const auto taps = [&](int from, int extent) {
    std::vector<std::int32_t> table;
    for (const ResizeWeights& tap : resize_weights(op, from, extent)) table.insert(table.end(), {tap.low, tap.low, 0});
    return to.constants_int32(table);
  };
  return ResizeInstr{.in = in,
                     .rows = taps(in.shape.h, op.height),
                     .columns = taps(in.shape.w, op.width),
                     .requant = Lowering::keep(in.spec)};
}

}  // namespace binade
