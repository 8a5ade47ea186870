// Depthwise convolutions of words.
//
// Two pixels are interleaved word by word, so that one product of pairs does two taps of a channel. Unpacking leaves
// the channels in two vectors; the pack at the end undoes that order exactly.
#pragma once

#include "core/integer/simd/wide_end.hpp"

namespace binade::integer {
namespace {

/// The channels of a block in one pixel, as words.
template <class V, bool kWords>
inline __attribute__((always_inline)) typename V::Reg load_pixel(const std::uint8_t* from, typename V::Reg zero) {
  if constexpr (kWords) return V::load(from);
  return V::sub16(V::widen(from), zero);
}

/// Accumulators of a block: channels of the lower halves of parts of 16 bytes, and of the upper ones.
template <class V, bool kSplit>
struct PixelSums {
  using Reg = typename V::Reg;
  Reg low[2], high[2];

  __attribute__((always_inline)) void start(const WideBlock& block) {
#pragma GCC unroll 2
    for (int s = 0; s < 2; ++s) {
      low[s] = V::load(block.low + s * V::kLanes);
      if constexpr (kSplit) high[s] = V::load(block.high + s * V::kLanes);
    }
  }
  __attribute__((always_inline)) void split_sums() {
    if constexpr (kSplit) {
      V::split(low[0], high[0]);
      V::split(low[1], high[1]);
    }
  }
  __attribute__((always_inline)) void store(const WideEnd<V>& end, int channels, std::uint8_t* out) const {
    if constexpr (kSplit) {
      end.store(out, end.code(low[0], high[0]), end.code(low[1], high[1]), channels);
    } else {
      end.store(out, end.code(low[0]), end.code(low[1]), channels);
    }
  }
  __attribute__((noinline)) void finish(const WideFinish& finish, const WideBlock& block, std::uint8_t* out) const {
    alignas(64) std::int32_t raw_low[2 * V::kLanes], raw_high[2 * V::kLanes] = {};
    for (int s = 0; s < 2; ++s) {
      V::store(raw_low + s * V::kLanes, low[s]);
      if constexpr (kSplit) V::store(raw_high + s * V::kLanes, high[s]);
    }
    finish_block(finish, block, 2, V::kLanes, raw_low, raw_high, out);
  }
};

/// Three input rows; those outside the image are a pixel of zeros that does not advance.
struct PixelRows {
  const std::uint8_t* row[3];
  std::ptrdiff_t step[3];
  int width;

  PixelRows(const WideDepthwise3x3& d, int y, const void* outside) : width(d.iw) {
    for (int i = 0; i < 3; ++i) {
      const int iy = y * d.stride_y - d.pad_top + i;
      const bool inside = iy >= 0 && iy < d.ih;
      row[i] = inside ? d.in + std::ptrdiff_t{iy} * d.iw * d.in_pitch : static_cast<const std::uint8_t*>(outside);
      step[i] = inside ? d.in_pitch : 0;
    }
  }
};

/// The pairs of a column of three pixels: (first, second) and (third, anything), each in two vectors.
template <class V, bool kWords>
struct PixelColumn {
  using Reg = typename V::Reg;
  Reg pairs[2][2];

  __attribute__((always_inline)) void load(const PixelRows& rows, int x, Reg zero) {
    if (static_cast<unsigned>(x) >= static_cast<unsigned>(rows.width)) {
      pairs[0][0] = pairs[0][1] = pairs[1][0] = pairs[1][1] = kWords ? zero : V::zero();
      return;
    }
    const Reg first = load_pixel<V, kWords>(rows.row[0] + x * rows.step[0], zero);
    const Reg second = load_pixel<V, kWords>(rows.row[1] + x * rows.step[1], zero);
    const Reg third = load_pixel<V, kWords>(rows.row[2] + x * rows.step[2], zero);
    pairs[0][0] = V::low16(first, second);
    pairs[0][1] = V::high16(first, second);
    pairs[1][0] = V::low16(third, third);
    pairs[1][1] = V::high16(third, third);
  }
};

/// Rows of a block of channels, a column at a time: it is the last of an output pixel, the second of the next one and
/// the first of the one after that; with stride 2 the last and the first, or the second.
template <class V, bool kWords, int kSplits, bool kFolded, int kStride>
__attribute__((noinline)) void depthwise_block_rows(const WideDepthwise3x3& d) {
  using Reg = typename V::Reg;
  using Sums = PixelSums<V, kSplits != 0>;
  const WideEnd<V> end(d.finish, kSplits != 0);
  const Reg zero = V::splat16(d.zero);
  alignas(64) std::uint8_t outside[4 * V::kLanes];
  if constexpr (kWords) {
    V::store(outside, zero);
  } else {
    for (std::uint8_t& byte : outside) byte = static_cast<std::uint8_t>(d.zero);
  }
  Reg w[3][2][2];
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) w[i / 4][i / 2 % 2][i % 2] = V::load(d.block.w + i * 2 * V::kLanes);
  const auto add = [&](Sums & sums, const PixelColumn<V, kWords>& column, int j) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int pair = 0; pair < 2; ++pair) {
#pragma GCC unroll 2
      for (int s = 0; s < 2; ++s) V::add_dot(sums.low[s], column.pairs[pair][s], w[j][pair][s]);
      if (kSplits == 2 || (kSplits == 1 && pair == 1)) sums.split_sums();
    }
  };
  const auto store = [&](const Sums& sums, std::uint8_t* out) __attribute__((always_inline)) {
    if constexpr (kFolded) {
      sums.store(end, d.block.channels, out);
    } else {
      sums.finish(d.finish, d.block, out);
    }
  };
  for (int y = d.row_begin; y < d.row_end; ++y) {
    const PixelRows rows(d, y, outside);
    std::uint8_t* out = d.out + std::ptrdiff_t{y} * d.ow * d.out_pitch;
    int x = -d.pad_left;
    PixelColumn<V, kWords> column;
    Sums last, second, first;
    column.load(rows, x++, zero);
    last.start(d.block);
    add(last, column, 0);
    if constexpr (kStride == 1) {
      column.load(rows, x++, zero);
      add(last, column, 1);
      second.start(d.block);
      add(second, column, 0);
    }
    for (int i = 0; i < d.ow; ++i, out += d.out_pitch) {
      forget_memory();
      column.load(rows, x++, zero);
      if constexpr (kStride == 2) {
        add(last, column, 1);
        column.load(rows, x++, zero);
      } else {
        add(second, column, 1);
      }
      add(last, column, 2);
      first.start(d.block);
      add(first, column, 0);
      store(last, out);
      last = kStride == 2 ? first : second;
      second = first;
    }
  }
}

template <class V, bool kWords, int kSplits>
inline void depthwise_rows(const WideDepthwise3x3& d) {
  if (d.stride_x == 1) {
    d.finish.folded ? depthwise_block_rows<V, kWords, kSplits, true, 1>(d)
                    : depthwise_block_rows<V, kWords, kSplits, false, 1>(d);
  } else {
    d.finish.folded ? depthwise_block_rows<V, kWords, kSplits, true, 2>(d)
                    : depthwise_block_rows<V, kWords, kSplits, false, 2>(d);
  }
}

template <class V>
inline void wide_depthwise3x3(const WideDepthwise3x3& d) {
  const int splits = d.block.chunks == nullptr ? 0 : d.splits;
  if (splits == 0) return d.words ? depthwise_rows<V, true, 0>(d) : depthwise_rows<V, false, 0>(d);
  if (splits == 1) return d.words ? depthwise_rows<V, true, 1>(d) : depthwise_rows<V, false, 1>(d);
  d.words ? depthwise_rows<V, true, 2>(d) : depthwise_rows<V, false, 2>(d);
}

template <class V, bool kWords, bool kSplit>
inline void depthwise_pixel(const WideDepthwise& d) {
  using Reg = typename V::Reg;
  const Reg zero = V::splat16(d.zero);
  PixelSums<V, kSplit> sums;
  sums.start(d.block);
  const std::int16_t* w = d.block.w;
  const std::int32_t* chunk = d.block.chunks;
  int left = kSplit ? *chunk : 0;
  for (int t = 0; t < d.tap_count; t += 2, w += 4 * V::kLanes) {
    const Reg first = load_pixel<V, kWords>(d.taps[t], zero);
    const Reg second = load_pixel<V, kWords>(d.taps[t + 1 < d.tap_count ? t + 1 : t], zero);
    V::add_dot(sums.low[0], V::low16(first, second), V::load(w));
    V::add_dot(sums.low[1], V::high16(first, second), V::load(w + 2 * V::kLanes));
    if (kSplit && --left == 0) {
      sums.split_sums();
      left = *++chunk;
    }
  }
  if (d.finish.folded) {
    sums.store(WideEnd<V>(d.finish, kSplit), d.block.channels, d.out);
  } else {
    sums.finish(d.finish, d.block, d.out);
  }
}

template <class V>
inline void wide_depthwise(const WideDepthwise& d) {
  if (d.block.chunks == nullptr)
    return d.words ? depthwise_pixel<V, true, false>(d) : depthwise_pixel<V, false, false>(d);
  d.words ? depthwise_pixel<V, true, true>(d) : depthwise_pixel<V, false, true>(d);
}

}  // namespace
}  // namespace binade::integer
