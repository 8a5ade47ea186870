// Pooling by maximum and by mean.
#include <algorithm>
#include <utility>

#include "core/base/fixed_point.hpp"
#include "core/integer/engine/finish.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitBytes = 32 << 10;  ///< of input, worth handing to another thread

/// The part of a window that lies inside the input.
struct Span {
  int begin, end;
};
Span span_of(int out, int kernel, int stride, int pad, int extent) {
  const int first = out * stride - pad;
  return {std::max(first, 0), std::min(first + kernel, extent)};
}

class MaxPoolStep : public Step {
 public:
  MaxPoolStep(const StepContext& context, const MaxPoolInstr& pool, const EngineTensor& in, const EngineTensor& out)
      : kernels_(context.kernels), pool_(pool), in_(in), out_(out) {}

  std::size_t scratch_bytes() const override {
    return sizeof(void*) * static_cast<std::size_t>(pool_.kernel_h) * static_cast<std::size_t>(pool_.kernel_w);
  }

  void run(const Frame& frame) const override {
    const std::int64_t row = std::int64_t{in_.shape.w} * in_.pitch * pool_.stride_h;
    parallel_for(out_.shape.h, std::max<std::int64_t>(1, kUnitBytes / row), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) run_row(frame, static_cast<int>(y));
    });
  }

 private:
  void run_row(const Frame& frame, int y) const {
    auto* const met = reinterpret_cast<const std::uint8_t**>(frame.lane_scratch());
    const Span rows = span_of(y, pool_.kernel_h, pool_.stride_h, pool_.pad_top, in_.shape.h);
    for (int x = 0; x < out_.shape.w; ++x) {
      const Span columns = span_of(x, pool_.kernel_w, pool_.stride_w, pool_.pad_left, in_.shape.w);
      int count = 0;
      for (int iy = rows.begin; iy < rows.end; ++iy) {
        const std::uint8_t* line = frame.data(in_) + std::ptrdiff_t{iy} * in_.shape.w * in_.pitch;
        for (int ix = columns.begin; ix < columns.end; ++ix) met[count++] = line + std::ptrdiff_t{ix} * in_.pitch;
      }
      kernels_.max(met, count, frame.data(out_) + (std::ptrdiff_t{y} * out_.shape.w + x) * out_.pitch,
                   round_up(in_.shape.c, kLanes));
    }
  }

  const Kernels& kernels_;
  const MaxPoolInstr pool_;
  const EngineTensor in_, out_;
};

class AveragePoolStep : public Step {
 public:
  AveragePoolStep(const StepContext& context, const AvgPoolInstr& pool, const EngineTensor& in, const EngineTensor& out)
      : kernels_(context.kernels), pool_(pool), in_(in), out_(out) {}

  /// Sums of the channels, then addresses.
  std::size_t scratch_bytes() const override {
    return sum_bytes() + sizeof(void*) * static_cast<std::size_t>(std::min(pool_.kernel_h, in_.shape.h)) *
                             static_cast<std::size_t>(std::min(pool_.kernel_w, in_.shape.w));
  }

  /// One row at a time; of one pixel, its channels are shared out.
  void run(const Frame& frame) const override {
    const int channels = round_up(in_.shape.c, kLanes);
    const std::int64_t window = std::int64_t{pool_.kernel_h} * pool_.kernel_w * channels;
    const std::int64_t parts = out_.shape.pixels() == 1 ? std::clamp<std::int64_t>(window / kUnitBytes, 1, 4) : 1;
    const int part = round_up(static_cast<int>(ceil_div<std::int64_t>(channels, parts)), kLanes);
    if (parts > 1) {
      parallel_for(channels, part, [&](std::int64_t begin, std::int64_t end) {
        run_pixel(frame, 0, 0, static_cast<int>(begin), static_cast<int>(end));
      });
      return;
    }
    const std::int64_t row = std::max<std::int64_t>(1, window * out_.shape.w);
    parallel_for(out_.shape.h, std::max<std::int64_t>(1, kUnitBytes / row), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) {
        for (int x = 0; x < out_.shape.w; ++x) run_pixel(frame, static_cast<int>(y), x, 0, channels);
      }
    });
  }

 private:
  std::size_t sum_bytes() const { return static_cast<std::size_t>(round_up(in_.shape.c, kMaxColumns)) * 4; }

  /// Positions of the window that count.
  int divisor_of(int y, int x, const Span& rows, const Span& columns) const {
    if (!pool_.count_include_pad) return (rows.end - rows.begin) * (columns.end - columns.begin);
    const int top = y * pool_.stride_h - pool_.pad_top, left = x * pool_.stride_w - pool_.pad_left;
    const int bottom = std::min(top + pool_.kernel_h, in_.shape.h + pool_.pad_bottom);
    const int right = std::min(left + pool_.kernel_w, in_.shape.w + pool_.pad_right);
    return (bottom - std::max(top, -pool_.pad_top)) * (right - std::max(left, -pool_.pad_left));
  }

  void run_pixel(const Frame& frame, int y, int x, int first, int last) const {
    auto* const sums = reinterpret_cast<std::int32_t*>(frame.lane_scratch());
    auto* const met = reinterpret_cast<const std::uint8_t**>(frame.lane_scratch() + sum_bytes());
    const Span rows = span_of(y, pool_.kernel_h, pool_.stride_h, pool_.pad_top, in_.shape.h);
    const Span columns = span_of(x, pool_.kernel_w, pool_.stride_w, pool_.pad_left, in_.shape.w);
    int count = 0;
    for (int iy = rows.begin; iy < rows.end; ++iy) {
      const std::uint8_t* line = frame.data(in_) + std::ptrdiff_t{iy} * in_.shape.w * in_.pitch + first;
      for (int ix = columns.begin; ix < columns.end; ++ix) met[count++] = line + std::ptrdiff_t{ix} * in_.pitch;
    }
    kernels_.sum(met, count, sums, last - first);
    std::uint8_t* out = frame.data(out_) + (std::ptrdiff_t{y} * out_.shape.w + x) * out_.pitch + first;
    const int surplus = count * in_.zero();
    const int divisor = divisor_of(y, x, rows, columns);
    for (int c = 0; c < last - first; ++c) out[c] = byte_of(sums[c] - surplus, divisor);
  }

  /// The quotient, rounded once.
  std::uint8_t byte_of(std::int64_t acc, std::int64_t divisor) const {
    const Requant& how = pool_.requant;
    const std::int64_t code = how.shift > 0 ? round_quotient(acc, divisor << how.shift, how.rounding)
                                            : round_quotient(round_shift(acc, how.shift), divisor, how.rounding);
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(code, how.lo, how.hi) + out_.zero());
  }

  const Kernels& kernels_;
  const AvgPoolInstr pool_;
  const EngineTensor in_, out_;
};

}  // namespace

std::unique_ptr<Step> make_average_pool(const StepContext& context, const AvgPoolInstr& pool, const EngineTensor& in,
                                        const EngineTensor& out) {
  if (!in.is_bytes() || !out.is_bytes() || in.pitch % kLanes != 0 || pool.requant.slope_count != 0) return nullptr;
  if (pool.requant.shift > 31 || pool.requant.shift < -31 || in.shape.pixels() > (1 << 22)) return nullptr;
  return std::make_unique<AveragePoolStep>(context, pool, in, out);
}

std::unique_ptr<Step> make_max_pool(const StepContext& context, const MaxPoolInstr& pool, const EngineTensor& in,
                                    const EngineTensor& out) {
  if (!in.is_bytes() || in.pitch % kLanes != 0) return nullptr;
  return std::make_unique<MaxPoolStep>(context, pool, in, out);
}

}  // namespace binade::integer
