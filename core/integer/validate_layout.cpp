// Checks of the operations that move, pool and resize.
#include "core/integer/validate.hpp"

namespace binade::validation {
namespace {

std::int64_t extent_along(const Shape& s, int axis) {
  return axis == 1 ? s.h : (axis == 2 ? s.w : s.c);
}

/// That every window along one axis meets [-margin_before, in + margin_after).
void check_windows(std::string_view axis, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                   std::int64_t pad, std::int64_t margin_before, std::int64_t margin_after, const Check& check) {
  check.range(fmt::format("kernel_{}", axis), kernel, 1, kMaxWindow);
  check.range(fmt::format("stride_{}", axis), stride, 1, kMaxWindow);
  check.range(fmt::format("the padding before {}", axis), pad, 0, kMaxWindow);
  check.that(kernel - pad > -margin_before, "a window of {} along {} after {} of padding lies outside the input",
             kernel, axis, pad);
  check.that((out - 1) * stride - pad < in + margin_after, "the last of {} windows along {} begins at {} of {}", out,
             axis, (out - 1) * stride - pad, in + margin_after);
}

void check_taps(std::string_view what, std::int64_t offset, std::int64_t count, std::int64_t extent, int weight_bits,
                const Check& check) {
  const std::byte* taps = check.constants(what, offset, count, 12);
  for (std::int64_t i = 0; i < count; ++i) {
    check.range(fmt::format("first of {} at {}", what, i), constant_int32(taps, 3 * i), 0, extent - 1);
    check.range(fmt::format("second of {} at {}", what, i), constant_int32(taps, 3 * i + 1), 0, extent - 1);
    check.range(fmt::format("weight of {} at {}", what, i), constant_int32(taps, 3 * i + 2), 0,
                std::int64_t{1} << weight_bits);
  }
}

void check_channels(const Shape& in, const Shape& out, const Check& check) {
  check.that(in.c == out.c, "in has {} channels, out {}, want the same", in.c, out.c);
}

}  // namespace

void check(const SliceInstr& slice, const Check& check) {
  check.same_spec(slice.in, slice.out);
  check.range("axis", slice.axis, 1, 3);
  check.range("step", slice.step, 1, kMaxExtent);
  for (int axis = 1; axis <= 3; ++axis) {
    const std::int64_t in = extent_along(slice.in.shape, axis), out = extent_along(slice.out.shape, axis);
    if (axis != slice.axis) {
      check.that(in == out, "in has shape {}, out {}, want a difference along axis {} only", to_string(slice.in.shape),
                 to_string(slice.out.shape), slice.axis);
    } else {
      check.range("begin", slice.begin, 0, in - 1);
      check.that(slice.begin + (out - 1) * slice.step < in, "element {} of {} is taken along axis {}",
                 slice.begin + (out - 1) * slice.step, in, axis);
    }
  }
}

void check(const PadInstr& pad, const Check& check) {
  const Shape &in = pad.in.shape, &out = pad.out.shape;
  check.same_spec(pad.in, pad.out);
  check.range("top", pad.top, 0, std::int64_t{out.h} - in.h);
  check.range("left", pad.left, 0, std::int64_t{out.w} - in.w);
  check.range("first_channel", pad.first_channel, 0, std::int64_t{out.c} - in.c);
  check.range("fill", pad.fill, pad.out.spec.min_code(), pad.out.spec.max_code());
}

void check(const ReshapeInstr& reshape, const Check& check) {
  check.same_spec(reshape.in, reshape.out);
  check.that(reshape.in.shape.count() == reshape.out.shape.count(), "in has shape {}, out {}, want as many codes",
             to_string(reshape.in.shape), to_string(reshape.out.shape));
}

void check(const MaxPoolInstr& pool, const Check& check) {
  const Shape &in = pool.in.shape, &out = pool.out.shape;
  check.same_spec(pool.in, pool.out);
  check_channels(in, out, check);
  check_windows("h", in.h, out.h, pool.kernel_h, pool.stride_h, pool.pad_top, 0, 0, check);
  check_windows("w", in.w, out.w, pool.kernel_w, pool.stride_w, pool.pad_left, 0, 0, check);
}

void check(const AvgPoolInstr& pool, const Check& check) {
  const Shape &in = pool.in.shape, &out = pool.out.shape;
  check_channels(in, out, check);
  check.range("pad_bottom", pool.pad_bottom, 0, kMaxWindow);
  check.range("pad_right", pool.pad_right, 0, kMaxWindow);
  const bool padded = pool.count_include_pad;
  check_windows("h", in.h, out.h, pool.kernel_h, pool.stride_h, pool.pad_top, padded ? pool.pad_top : 0,
                padded ? pool.pad_bottom : 0, check);
  check_windows("w", in.w, out.w, pool.kernel_w, pool.stride_w, pool.pad_left, padded ? pool.pad_left : 0,
                padded ? pool.pad_right : 0, check);
  const std::int64_t positions = std::int64_t{std::min(pool.kernel_h, in.h)} * std::min(pool.kernel_w, in.w);
  const std::int64_t divisor = padded ? std::int64_t{pool.kernel_h} * pool.kernel_w : positions;
  check.requant(pool.requant, pool.out.spec, out.c, positions * pool.in.spec.max_magnitude(), divisor);
}

void check(const ResizeInstr& resize, const Check& check) {
  const Shape &in = resize.in.shape, &out = resize.out.shape;
  check_channels(in, out, check);
  check.range("weight_bits", resize.weight_bits, 0, 11);
  check_taps("the rows", resize.rows, out.h, in.h, resize.weight_bits, check);
  check_taps("the columns", resize.columns, out.w, in.w, resize.weight_bits, check);
  check.requant(resize.requant, resize.out.spec, out.c, resize.in.spec.max_magnitude() << (2 * resize.weight_bits));
}

}  // namespace binade::validation
