// Pooling of any widths, by maximum and by mean.
#include <algorithm>
#include <utility>

#include "core/base/fixed_point.hpp"
#include "core/integer/engine/wide_packing.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitBytes = 32 << 10;  ///< of input, worth handing to another thread

/// The part of a window that lies inside the input.
struct Span {
  int begin, end;
  int size() const { return end - begin; }
};
Span span_of(int out, int kernel, int stride, int pad, int extent) {
  const int first = out * stride - pad;
  return {std::max(first, 0), std::min(first + kernel, extent)};
}

/// Positions of the window that starts at `first` inside [-before, extent + after).
int padded_size(int first, int kernel, int before, int extent, int after) {
  return std::min(first + kernel, extent + after) - std::max(first, -before);
}

/// Runs a body for every window, with the addresses of the pixels that it meets.
template <class Pool>
class WidePoolStep : public Step {
 public:
  WidePoolStep(const StepContext& context, const Pool& pool, const EngineTensor& in, const EngineTensor& out)
      : kernels_(*context.kernels.wide), pool_(pool), in_(in), out_(out) {}

  std::size_t scratch_bytes() const override {
    return sums_bytes() + sizeof(void*) * static_cast<std::size_t>(window());
  }

  /// Units: rows, or parts of the channels where there is a single window.
  void run(const Frame& frame) const override {
    const std::int64_t row = std::int64_t{in_.shape.w} * in_.pitch * pool_.kernel_h;
    if (out_.shape.pixels() == 1) {
      const std::int64_t channels =
          std::max<std::int64_t>(64, kUnitBytes * in_.shape.c / (in_.pitch * in_.shape.pixels()));
      parallel_for(in_.shape.c, channels, [&](std::int64_t begin, std::int64_t end) {
        run_window(frame, 0, 0, static_cast<int>(begin), static_cast<int>(end));
      });
      return;
    }
    parallel_for(out_.shape.h, std::max<std::int64_t>(1, kUnitBytes / row), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t y = begin; y < end; ++y) {
        for (int x = 0; x < out_.shape.w; ++x) run_window(frame, static_cast<int>(y), x, 0, in_.shape.c);
      }
    });
  }

 private:
  static constexpr bool kIsMax = std::is_same_v<Pool, MaxPoolInstr>;

  std::int64_t window() const {
    return std::min<std::int64_t>(std::int64_t{pool_.kernel_h} * pool_.kernel_w, in_.shape.pixels());
  }
  /// Of sums, and of a row of bytes as words.
  std::size_t sums_bytes() const { return kIsMax ? 0 : 6 * static_cast<std::size_t>(round_up(in_.shape.c, 64)); }

  void run_window(const Frame& frame, int y, int x, int first, int last) const {
    auto* const met = reinterpret_cast<const std::uint8_t**>(frame.lane_scratch() + sums_bytes());
    const Span rows = span_of(y, pool_.kernel_h, pool_.stride_h, pool_.pad_top, in_.shape.h);
    const Span columns = span_of(x, pool_.kernel_w, pool_.stride_w, pool_.pad_left, in_.shape.w);
    int count = 0;
    for (int iy = rows.begin; iy < rows.end; ++iy) {
      const std::uint8_t* line = frame.data(in_) + std::ptrdiff_t{iy} * in_.shape.w * in_.pitch;
      line += first * code_bytes(in_.spec);
      for (int ix = columns.begin; ix < columns.end; ++ix) met[count++] = line + std::ptrdiff_t{ix} * in_.pitch;
    }
    std::uint8_t* out = frame.data(out_) + (std::ptrdiff_t{y} * out_.shape.w + x) * out_.pitch;
    out += first * code_bytes(out_.spec);
    if constexpr (kIsMax) {
      kernels_.max(met, count, !in_.is_bytes(), out, last - first);
    } else {
      sum_window(frame, met, count, last - first);
      const auto* const sums = reinterpret_cast<const std::int32_t*>(frame.lane_scratch());
      const std::int64_t surplus = in_.is_bytes() ? 0 : std::int64_t{count} * in_.stored_zero();
      const int divisor = divisor_of(y, x, rows, columns);
      for (int c = 0; c < last - first; ++c) put_code(out, c, sums[c] - surplus, divisor);
    }
  }

  /// Sums of words; bytes are widened row by row.
  void sum_window(const Frame& frame, const std::uint8_t* const* met, int count, int channels) const {
    auto* const sums = reinterpret_cast<std::int32_t*>(frame.lane_scratch());
    if (!in_.is_bytes()) return kernels_.sum(met, count, sums, channels);
    auto* const words = reinterpret_cast<std::int16_t*>(sums + round_up(in_.shape.c, 64));
    std::fill_n(sums, channels, 0);
    for (int i = 0; i < count; ++i) {
      kernels_.widen(met[i], in_.zero(), words, channels);
      for (int c = 0; c < channels; ++c) sums[c] += words[c];
    }
  }

  /// Positions of the window that count.
  int divisor_of(int y, int x, const Span& rows, const Span& columns) const {
    if constexpr (!kIsMax) {
      if (pool_.count_include_pad) {
        const int top = y * pool_.stride_h - pool_.pad_top, left = x * pool_.stride_w - pool_.pad_left;
        return padded_size(top, pool_.kernel_h, pool_.pad_top, in_.shape.h, pool_.pad_bottom) *
               padded_size(left, pool_.kernel_w, pool_.pad_left, in_.shape.w, pool_.pad_right);
      }
    }
    return rows.size() * columns.size();
  }

  /// The quotient, rounded once.
  void put_code(std::uint8_t* out, int channel, std::int64_t acc, std::int64_t divisor) const {
    if constexpr (!kIsMax) {
      const Requant& how = pool_.requant;
      const std::int64_t code = how.shift > 0 ? round_quotient(acc, divisor << how.shift, how.rounding)
                                              : round_quotient(round_shift(acc, how.shift), divisor, how.rounding);
      const std::int64_t stored = std::clamp<std::int64_t>(code, how.lo, how.hi) + out_.stored_zero();
      store_code(reinterpret_cast<std::byte*>(out), channel, out_.spec, static_cast<std::int32_t>(stored));
    }
  }

  const WideKernels& kernels_;
  const Pool pool_;
  const EngineTensor in_, out_;
};

}  // namespace

std::unique_ptr<Step> make_wide_max_pool(const StepContext& context, const MaxPoolInstr& pool, const EngineTensor& in,
                                         const EngineTensor& out) {
  return std::make_unique<WidePoolStep<MaxPoolInstr>>(context, pool, in, out);
}

std::unique_ptr<Step> make_wide_average_pool(const StepContext& context, const AvgPoolInstr& pool,
                                             const EngineTensor& in, const EngineTensor& out) {
  constexpr std::int64_t kMostPixels = 32767;  // of words whose sum fits in 32 bits
  if (pool.requant.slope_count != 0 || in.shape.pixels() > kMostPixels) return nullptr;
  return std::make_unique<WidePoolStep<AvgPoolInstr>>(context, pool, in, out);
}

}  // namespace binade::integer
