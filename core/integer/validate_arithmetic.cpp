// Checks of the operations that calculate: bounds of their accumulators among them.
#include "core/integer/validate.hpp"

namespace binade {

std::int64_t accumulator_bound(const ConvInstr& conv, std::span<const std::byte> constants) {
  const QuantSpec spec{.bits = conv.weight_bits};
  const std::int64_t depth =
      std::int64_t{conv.kernel_h} * conv.kernel_w * (std::int64_t{conv.in.shape.c} / conv.groups);
  const std::int64_t lowest = conv.in.spec.min_code(), highest = conv.in.spec.max_code();
  std::int64_t bound = 0;
  for (std::int64_t o = 0; o < conv.out.shape.c; ++o) {
    std::int64_t positive = 0, negative = 0;  // the sums of all positive and of all negative weights
    for (std::int64_t i = o * depth; i < (o + 1) * depth; ++i) {
      const std::int64_t w = load_code(constants.data() + conv.weights, i, spec);
      (w > 0 ? positive : negative) += w;
    }
    const std::int64_t bias = validation::constant_int32(constants.data() + conv.bias, o);
    const std::int64_t added = round_shift(bias, -conv.bias_shift);
    const std::int64_t most = positive * highest + negative * lowest + std::max<std::int64_t>(added, 0);
    const std::int64_t least = positive * lowest + negative * highest + std::min<std::int64_t>(added, 0);
    bound = std::max({bound, most, -least});
  }
  return bound;
}

namespace validation {
namespace {

/// That windows along one axis begin where there is input, or padding of a believable width.
void check_axis(std::string_view axis, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                std::int64_t pad, std::int64_t dilation, bool transposed, const Check& check) {
  check.range(fmt::format("kernel_{}", axis), kernel, 1, kMaxWindow);
  check.range(fmt::format("stride_{}", axis), stride, 1, kMaxWindow);
  check.range(fmt::format("dilation_{}", axis), dilation, 1, kMaxWindow);
  check.range(fmt::format("the padding before {}", axis), pad, 0, kMaxWindow);
  const std::int64_t reach = (kernel - 1) * dilation + 1;
  if (transposed) {
    const std::int64_t full = (in - 1) * stride + reach;
    check.that(out + pad - full < std::max(stride, dilation),
               "out has {} of {}, but {} inputs reach only {} with {} of padding", out, axis, in, full, pad);
  } else {
    check.that((out - 1) * stride - pad < in + std::max(pad, reach),
               "the last of {} windows along {} begins at {}, far behind the input's {}", out, axis,
               (out - 1) * stride - pad, in);
  }
}

void check_weights(const ConvInstr& conv, const Check& check) {
  const std::int64_t taps = std::int64_t{conv.kernel_h} * conv.kernel_w;  // at most 2^40
  const std::int64_t depth_limit = kMaxBytes / conv.out.shape.c, channels = conv.in.shape.c / conv.groups;
  check.that(taps <= kMaxBytes && taps <= depth_limit / channels,
             "the kernels {}x{}x{}x{} are larger than constants can be", conv.out.shape.c, conv.kernel_h, conv.kernel_w,
             channels);
  const std::int64_t count = taps * channels * conv.out.shape.c;
  const QuantSpec spec{.bits = conv.weight_bits};
  const std::byte* weights = check.constants("the weights", conv.weights, count, code_bytes(spec));
  check.constants("the biases", conv.bias, conv.out.shape.c, 4);
  if (spec.bits == 8 || spec.bits == 16) return;
  for (std::int64_t i = 0; i < count; ++i) {
    check.range("a weight's code", load_code(weights, i, spec), spec.min_code(), spec.max_code());
  }
}

void check_broadcast(std::string_view what, const Shape& operand, const Shape& out, const Check& check) {
  const auto fits = [](int extent, int wanted) { return extent == wanted || extent == 1; };
  check.that(fits(operand.h, out.h) && fits(operand.w, out.w) && fits(operand.c, out.c),
             "{} has shape {}, want that of out, {}, or ones", what, to_string(operand), to_string(out));
}

}  // namespace

void check(const ConvInstr& conv, const Check& check) {
  const Shape &in = conv.in.shape, &out = conv.out.shape;
  check_axis("h", in.h, out.h, conv.kernel_h, conv.stride_h, conv.pad_top, conv.dilation_h, conv.transposed, check);
  check_axis("w", in.w, out.w, conv.kernel_w, conv.stride_w, conv.pad_left, conv.dilation_w, conv.transposed, check);
  check.that(conv.groups >= 1 && in.c % conv.groups == 0 && out.c % conv.groups == 0,
             "{} groups do not divide {} input and {} output channels", conv.groups, in.c, out.c);
  check.range("weight_bits", conv.weight_bits, 2, 16);
  check.range("bias_shift", conv.bias_shift, 0, 31);
  check_weights(conv, check);
  const Program& program = check.program();
  const std::int64_t bound = accumulator_bound(conv, program.constants);
  check.that(conv.acc_bound >= bound, "acc_bound is {}, but weights and biases allow {}", conv.acc_bound, bound);
  check.requant(conv.requant, conv.out.spec, out.c, conv.acc_bound);
}

void check(const AddInstr& add, const Check& check) {
  check_broadcast("a", add.a.shape, add.out.shape, check);
  check_broadcast("b", add.b.shape, add.out.shape, check);
  check.range("shift_a", add.shift_a, 0, 31);
  check.range("shift_b", add.shift_b, 0, 31);
  check.that(add.shift_a == 0 || add.shift_b == 0, "shift_a is {} and shift_b {}, want one of them to be 0",
             add.shift_a, add.shift_b);
  const std::int64_t worst = (add.a.spec.max_magnitude() << add.shift_a) + (add.b.spec.max_magnitude() << add.shift_b);
  check.requant(add.requant, add.out.spec, add.out.shape.c, worst);
}

void check(const MulInstr& mul, const Check& check) {
  check_broadcast("a", mul.a.shape, mul.out.shape, check);
  check_broadcast("b", mul.b.shape, mul.out.shape, check);
  check.requant(mul.requant, mul.out.spec, mul.out.shape.c, mul.a.spec.max_magnitude() * mul.b.spec.max_magnitude());
}

void check(const RescaleInstr& rescale, const Check& check) {
  const Shape &in = rescale.in.shape, &out = rescale.out.shape;
  check.that(in.h == out.h && in.w == out.w, "in has shape {}, out {}, want the same height and width", to_string(in),
             to_string(out));
  check.range("first_channel", rescale.first_channel, 0, std::int64_t{out.c} - in.c);
  check.requant(rescale.requant, rescale.out.spec, in.c, rescale.in.spec.max_magnitude());
}

void check(const TableInstr& table, const Check& check) {
  const QuantSpec spec = table.out.spec;
  check.that(table.in.shape == table.out.shape, "in has shape {}, out {}, want the same", to_string(table.in.shape),
             to_string(table.out.shape));
  const std::int64_t count = std::int64_t{1} << table.in.spec.bits;
  const std::byte* codes = check.constants("the codes of the table", table.table, count, code_bytes(spec));
  for (std::int64_t i = 0; i < count; ++i) {
    check.range("a code of the table", load_code(codes, i, spec), spec.min_code(), spec.max_code());
  }
}

void check(const SoftmaxInstr& softmax, const Check& check) {
  check.that(softmax.in.shape == softmax.out.shape, "in has shape {}, out {}, want the same",
             to_string(softmax.in.shape), to_string(softmax.out.shape));
  const std::int64_t complete = std::int64_t{1} << softmax.in.spec.bits;
  check.range("count", softmax.count, 1, complete);
  const std::byte* table = check.constants("the exponentials", softmax.exponentials, softmax.count, 4);
  const std::int64_t first = constant_int32(table, 0);
  check.range("the first exponential", first, 1, INT32_MAX);
  std::int64_t last = first;
  for (std::int64_t i = 1; i < softmax.count; ++i) {
    check.range(fmt::format("exponential {}", i), constant_int32(table, i), 0, last);
    last = constant_int32(table, i);
  }
  check.that(last == 0 || softmax.count == complete, "the last of {} exponentials is {}, want 0 or all of {}",
             softmax.count, last, complete);
  check.that(softmax.requant.shift == -softmax.out.spec.frac && softmax.requant.shift <= 0,
             "shift is {}, want minus the output's frac {}, not above 0", softmax.requant.shift, softmax.out.spec.frac);
  check.requant(softmax.requant, softmax.out.spec, softmax.out.shape.c, first, first * softmax.in.shape.c);
}

}  // namespace validation
}  // namespace binade
