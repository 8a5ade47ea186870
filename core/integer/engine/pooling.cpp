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
    return address_bytes() + static_cast<std::size_t>(in_.shape.w) * static_cast<std::size_t>(in_.pitch) + kTailBytes;
  }

  void run(const Frame& frame) const override {
    const std::int64_t row = std::int64_t{in_.shape.w} * in_.pitch * pool_.stride_h;
    parallel_for(out_.shape.h, std::max<std::int64_t>(1, kUnitBytes / row), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) run_row(frame, static_cast<int>(y));
    });
  }

 private:
  /// First the maxima of the window's columns, then the maxima over rows of these.
  void run_row(const Frame& frame, int y) const {
    const int channels = round_up(in_.shape.c, kLanes);
    auto* const met = reinterpret_cast<const std::uint8_t**>(frame.lane_scratch());
    std::uint8_t* const tallest = frame.lane_scratch() + address_bytes();
    const Span rows = span_of(y, pool_.kernel_h, pool_.stride_h, pool_.pad_top, in_.shape.h);
    for (int r = rows.begin; r < rows.end; ++r) {
      met[r - rows.begin] = frame.data(in_) + std::ptrdiff_t{r} * in_.shape.w * in_.pitch;
    }
    kernels_.max(met, rows.end - rows.begin, tallest, in_.shape.w * in_.pitch);
    std::uint8_t* out = frame.data(out_) + std::ptrdiff_t{y} * out_.shape.w * out_.pitch;
    for (int x = 0; x < out_.shape.w; ++x, out += out_.pitch) {
      const Span columns = span_of(x, pool_.kernel_w, pool_.stride_w, pool_.pad_left, in_.shape.w);
      for (int c = columns.begin; c < columns.end; ++c)
        met[c - columns.begin] = tallest + std::ptrdiff_t{c} * in_.pitch;
      kernels_.max(met, columns.end - columns.begin, out, channels);
    }
  }

  std::size_t address_bytes() const {
    return round_up(sizeof(void*) * static_cast<std::size_t>(std::max(pool_.kernel_h, pool_.kernel_w)), 64);
  }

  const Kernels& kernels_;
  const MaxPoolInstr pool_;
  const EngineTensor in_, out_;
};

/// Quotients by one divisor, rounded half up, as multiplications.
/// @math floor((2n + d) / 2d) = floor(m * (2n + d + 2dk) / 2^40) - k with m = floor(2^40 / 2d) + 1, exact while the
///       dividend, made positive by k, stays below 2^40 / 2d [Granlund and Montgomery 1994]
class Quotients {
 public:
  Quotients(const Requant& how, std::int64_t divisor, const EngineTensor& in, std::int64_t count) {
    if (how.rounding != Rounding::half_up || how.shift < 0 || how.shift > 16) return;
    divisor_ = divisor << how.shift;
    const std::int64_t most = count * in.spec.max_magnitude();
    lift_ = in.spec.is_signed ? most / divisor_ + 1 : 0;
    const std::int64_t dividend = 2 * most + divisor_ + 2 * divisor_ * lift_;
    fit_ = divisor_ < (std::int64_t{1} << 20) && dividend < (std::int64_t{1} << kBits) / (2 * divisor_) &&
           dividend < (std::int64_t{1} << 22);
    factor_ = (std::int64_t{1} << kBits) / (2 * divisor_) + 1;
  }
  bool fit() const { return fit_; }
  std::int64_t operator()(std::int64_t n) const {
    return ((factor_ * (2 * n + divisor_ * (1 + 2 * lift_))) >> kBits) - lift_;
  }

 private:
  static constexpr int kBits = 40;
  std::int64_t divisor_ = 1, lift_ = 0, factor_ = 0;
  bool fit_ = false;
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
    if (const Quotients quotients(pool_.requant, divisor, in_, count); quotients.fit()) {
      for (int c = 0; c < last - first; ++c) out[c] = clamped(quotients(sums[c] - surplus));
    } else {
      for (int c = 0; c < last - first; ++c) out[c] = clamped(quotient(sums[c] - surplus, divisor));
    }
  }

  /// The sum is rounded once.
  std::int64_t quotient(std::int64_t acc, std::int64_t divisor) const {
    const Requant& how = pool_.requant;
    return how.shift > 0 ? round_quotient(acc, divisor << how.shift, how.rounding)
                         : round_quotient(round_shift(acc, how.shift), divisor, how.rounding);
  }
  std::uint8_t clamped(std::int64_t code) const {
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(code, pool_.requant.lo, pool_.requant.hi) + out_.zero());
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
