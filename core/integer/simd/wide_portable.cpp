// The wide kernels in plain C++, with sums of 64 bits: for processors without the others, for weights that leave no
// chunk short enough, and as their definition.
#include "core/integer/simd/wide_rows.hpp"

namespace binade::integer {
namespace {

constexpr int kWideLanes = 8;

/// Sums of a block, channel by channel.
class BlockSums {
 public:
  explicit BlockSums(const WideBlock& block) : block_(block), panels_(block.channels > kWideLanes ? 2 : 1) {
    for (int i = 0; i < panels_ * kWideLanes; ++i) {
      sums_[i] = block.chunks != nullptr ? std::int64_t{block.high[i]} * 65536 + block.low[i] : block.low[i];
    }
  }
  /// Everywhere the same two words.
  void add_pair(std::int32_t x0, std::int32_t x1, int pair) {
    const std::int16_t* w = block_.w + std::ptrdiff_t{pair} * panels_ * kWideLanes * 2;
    for (int i = 0; i < panels_ * kWideLanes; ++i) {
      sums_[i] += std::int64_t{x0} * w[2 * i] + std::int64_t{x1} * w[2 * i + 1];
    }
  }
  void add(int at, std::int64_t product) { sums_[at] += product; }
  void finish(const WideFinish& finish, std::uint8_t* out) const {
    std::int64_t acc[kWideRow];
    for (int n = 0; n < block_.channels; ++n) {
      const std::int64_t sum = sums_[packed_word(n, panels_ * kWideLanes, kWideLanes)];
      acc[n] = block_.chunks != nullptr ? sum : static_cast<std::int32_t>(static_cast<std::uint64_t>(sum));
    }
    finish_sums(finish, block_, acc, out);
  }

 private:
  const WideBlock& block_;
  int panels_;
  std::int64_t sums_[2 * kWideLanes];
};

void gemm(const WideGemm& g) {
  for (int r = 0; r < g.rows; ++r) {
    BlockSums sums(g.block);
    const std::int16_t* a = g.a + r * g.a_stride;
    for (int k = 0; k < g.pairs; ++k) sums.add_pair(a[2 * k], a[2 * k + 1], k);
    sums.finish(g.finish, g.out + r * g.out_stride);
  }
}

std::int32_t word_of(const std::uint8_t* pixel, bool words, std::int32_t zero, int channel) {
  if (!words) return pixel[channel] - zero;
  std::int16_t word;
  __builtin_memcpy(&word, pixel + 2 * std::ptrdiff_t{channel}, sizeof word);
  return word;
}

/// Where the weight of a tap of a pair and channel is.
std::ptrdiff_t place_of(int pair, int channel, int tap) {
  return (std::ptrdiff_t{pair} * 2 * kWideLanes + packed_word(channel, 2 * kWideLanes, kWideLanes)) * 2 + tap;
}

/// As BlockSums, of two panels always.
void finish_pixel(const WideBlock& block, const std::int64_t* acc, const WideFinish& finish, std::uint8_t* out) {
  std::int64_t sums[2 * kWideLanes];
  for (int c = 0; c < block.channels; ++c) {
    const int at = packed_word(c, 2 * kWideLanes, kWideLanes);
    const std::int64_t sum = acc[c] + block.low[at];
    sums[c] = block.chunks != nullptr ? sum + std::int64_t{block.high[at]} * 65536
                                      : static_cast<std::int32_t>(static_cast<std::uint64_t>(sum));
  }
  finish_sums(finish, block, sums, out);
}

void depthwise(const WideDepthwise& d) {
  std::int64_t acc[2 * kWideLanes] = {};
  for (int t = 0; t < d.tap_count; ++t) {
    for (int c = 0; c < d.block.channels; ++c) {
      acc[c] += std::int64_t{word_of(d.taps[t], d.words, d.zero, c)} * d.block.w[place_of(t / 2, c, t % 2)];
    }
  }
  finish_pixel(d.block, acc, d.finish, d.out);
}

void depthwise3x3(const WideDepthwise3x3& d) {
  for (int p = d.row_begin * d.ow; p < d.row_end * d.ow; ++p) {
    std::int64_t acc[2 * kWideLanes] = {};
    for (int t = 0; t < 9; ++t) {
      const int row = t / 3, column = t % 3;
      const int iy = p / d.ow * d.stride_y - d.pad_top + row, ix = p % d.ow * d.stride_x - d.pad_left + column;
      const bool inside = iy >= 0 && iy < d.ih && ix >= 0 && ix < d.iw;
      const std::uint8_t* pixel = inside ? d.in + (std::ptrdiff_t{iy} * d.iw + ix) * d.in_pitch : nullptr;
      for (int c = 0; c < d.block.channels; ++c) {
        const std::int32_t code = inside ? word_of(pixel, d.words, d.zero, c) : (d.words ? d.zero : 0);
        acc[c] += std::int64_t{code} * d.block.w[place_of(2 * column + row / 2, c, row % 2)];
      }
    }
    finish_pixel(d.block, acc, d.finish, d.out + p * d.out_pitch);
  }
}

}  // namespace

const WideKernels wide_kernels_portable{.lanes = kWideLanes,
                                        .gemm = gemm,
                                        .depthwise = depthwise,
                                        .depthwise3x3 = depthwise3x3,
                                        .widen = widen,
                                        .pair = pair,
                                        .blend = blend,
                                        .max = wide_max,
                                        .sum = wide_sum};

}  // namespace binade::integer
