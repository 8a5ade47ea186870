// Depthwise convolutions with AVX-512 VNNI.
//
// Four pixels of a column are interleaved byte by byte, so that one vpdpbusd does up to four taps of a channel. Two
// levels of unpacking leave the channels in four vectors; the packs at the end undo that order exactly.
#pragma once

#include "core/integer/simd/finish_avx512.hpp"

namespace binade::integer {
namespace {

/// Vectors of 64, 32 and 16 bytes, for blocks of as many channels.
struct Bytes64 {
  using Reg = __m512i;
  static constexpr int kWidth = 64;
  static Reg load(const void* p) { return _mm512_loadu_si512(p); }
  static void store(void* p, Reg v) { _mm512_storeu_si512(p, v); }
  static Reg splat(std::uint8_t byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
  static Reg low8(Reg a, Reg b) { return _mm512_unpacklo_epi8(a, b); }
  static Reg high8(Reg a, Reg b) { return _mm512_unpackhi_epi8(a, b); }
  static Reg low16(Reg a, Reg b) { return _mm512_unpacklo_epi16(a, b); }
  static Reg high16(Reg a, Reg b) { return _mm512_unpackhi_epi16(a, b); }
  static Reg dot(Reg acc, Reg x, Reg w) { return _mm512_dpbusd_epi32(acc, x, w); }
  static Reg shift(Reg a, __m128i by) { return _mm512_sra_epi32(a, by); }
  static Reg pack32(Reg a, Reg b) { return _mm512_packs_epi32(a, b); }
  static Reg pack32_unsigned(Reg a, Reg b) { return _mm512_packus_epi32(a, b); }
  static Reg pack16(Reg a, Reg b) { return _mm512_packus_epi16(a, b); }
  static Reg times(Reg a, Reg b) { return _mm512_mulhi_epu16(a, b); }
  static Reg splat16(short word) { return _mm512_set1_epi16(word); }
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm512_min_epu8(_mm512_max_epu8(v, lo), hi); }
};
struct Bytes32 {
  using Reg = __m256i;
  static constexpr int kWidth = 32;
  static Reg load(const void* p) { return _mm256_loadu_si256(static_cast<const Reg*>(p)); }
  static void store(void* p, Reg v) { _mm256_storeu_si256(static_cast<Reg*>(p), v); }
  static Reg splat(std::uint8_t byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
  static Reg low8(Reg a, Reg b) { return _mm256_unpacklo_epi8(a, b); }
  static Reg high8(Reg a, Reg b) { return _mm256_unpackhi_epi8(a, b); }
  static Reg low16(Reg a, Reg b) { return _mm256_unpacklo_epi16(a, b); }
  static Reg high16(Reg a, Reg b) { return _mm256_unpackhi_epi16(a, b); }
  static Reg dot(Reg acc, Reg x, Reg w) { return _mm256_dpbusd_epi32(acc, x, w); }
  static Reg shift(Reg a, __m128i by) { return _mm256_sra_epi32(a, by); }
  static Reg pack32(Reg a, Reg b) { return _mm256_packs_epi32(a, b); }
  static Reg pack32_unsigned(Reg a, Reg b) { return _mm256_packus_epi32(a, b); }
  static Reg pack16(Reg a, Reg b) { return _mm256_packus_epi16(a, b); }
  static Reg times(Reg a, Reg b) { return _mm256_mulhi_epu16(a, b); }
  static Reg splat16(short word) { return _mm256_set1_epi16(word); }
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm256_min_epu8(_mm256_max_epu8(v, lo), hi); }
};
struct Bytes16 {
  using Reg = __m128i;
  static constexpr int kWidth = 16;
  static Reg load(const void* p) { return _mm_loadu_si128(static_cast<const Reg*>(p)); }
  static void store(void* p, Reg v) { _mm_storeu_si128(static_cast<Reg*>(p), v); }
  static Reg splat(std::uint8_t byte) { return _mm_set1_epi8(static_cast<char>(byte)); }
  static Reg low8(Reg a, Reg b) { return _mm_unpacklo_epi8(a, b); }
  static Reg high8(Reg a, Reg b) { return _mm_unpackhi_epi8(a, b); }
  static Reg low16(Reg a, Reg b) { return _mm_unpacklo_epi16(a, b); }
  static Reg high16(Reg a, Reg b) { return _mm_unpackhi_epi16(a, b); }
  static Reg dot(Reg acc, Reg x, Reg w) { return _mm_dpbusd_epi32(acc, x, w); }
  static Reg shift(Reg a, __m128i by) { return _mm_sra_epi32(a, by); }
  static Reg pack32(Reg a, Reg b) { return _mm_packs_epi32(a, b); }
  static Reg pack32_unsigned(Reg a, Reg b) { return _mm_packus_epi32(a, b); }
  static Reg pack16(Reg a, Reg b) { return _mm_packus_epi16(a, b); }
  static Reg times(Reg a, Reg b) { return _mm_mulhi_epu16(a, b); }
  static Reg splat16(short word) { return _mm_set1_epi16(word); }
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm_min_epu8(_mm_max_epu8(v, lo), hi); }
};

/// Shift and limits in registers.
template <class V, TileEnd kEnd>
struct BlockFinish {
  using Reg = typename V::Reg;

  explicit BlockFinish(const Finish& finish)
      : shift(_mm_cvtsi32_si128(finish.shift)),
        factor(V::splat16(shift_factor(finish))),
        lo(V::splat(static_cast<std::uint8_t>(finish.lo))),
        hi(V::splat(static_cast<std::uint8_t>(finish.hi))) {}

  Reg words(Reg a, Reg b) const {
    if constexpr (kEnd == TileEnd::late) return V::pack32(V::shift(a, shift), V::shift(b, shift));
    return V::times(V::pack32_unsigned(a, b), factor);
  }
  Reg bytes(Reg low, Reg high) const {
    if constexpr (kEnd == TileEnd::plain) return V::pack16(low, high);
    return V::clamp(V::pack16(low, high), lo, hi);
  }

  __m128i shift;
  Reg factor, lo, hi;
};

/// Interleaves four pixels: sub-vectors 0 and 1, or 2 and 3.
template <class V, bool kHigh>
inline void interleave_half(typename V::Reg a, typename V::Reg b, typename V::Reg c, typename V::Reg d,
                            typename V::Reg& first, typename V::Reg& second) {
  const typename V::Reg ab = kHigh ? V::high8(a, b) : V::low8(a, b), cd = kHigh ? V::high8(c, d) : V::low8(c, d);
  first = V::low16(ab, cd);
  second = V::high16(ab, cd);
}

template <class V>
inline void interleave(typename V::Reg a, typename V::Reg b, typename V::Reg c, typename V::Reg d,
                       typename V::Reg (&out)[4]) {
  interleave_half<V, false>(a, b, c, d, out[0], out[1]);
  interleave_half<V, true>(a, b, c, d, out[2], out[3]);
}

/// Addresses of the rows that a kernel row meets, at the column x. Rows outside the image are d.outside, zero points
/// for as many columns as a strip has.
template <int kRows>
struct RowSet {
  const std::uint8_t* row[kRows];

  RowSet(const Depthwise3x3& d, int first, int count, int x, int channel) {
    for (int i = 0; i < kRows; ++i) {
      const int y = first + i;
      const bool inside = i < count && y >= 0 && y < d.ih;
      row[i] = inside ? d.in + (std::ptrdiff_t{y} * d.iw + x) * d.in_pitch + channel : d.outside;
    }
  }
};

/// Output columns [begin, end) of a strip for which the input columns stride * x + first .. + last are in the image.
struct Inner {
  int begin, end;

  Inner(const Depthwise3x3& d, int count, int first, int last) {
    const int s = d.stride;
    begin = first < 0 ? (s - 1 - first) / s : 0;
    end = d.iw - last <= 0 ? 0 : (d.iw - last - 1) / s + 1;
    begin = begin > count ? count : begin;
    end = end > count ? count : end;
    end = end < begin ? begin : end;
  }
};

/// Up to depthwise_strip columns of one or two output rows of a block of channels.
struct Strip {
  int y, x, columns, channel;
  bool two;  ///< else the second row is not there, and what is made of it is overwritten
  const std::int8_t* weights;
};

/// Half of the sub-vectors of a strip with stride 1. The first pass leaves words, the second makes bytes.
template <class V, bool kHigh, TileEnd kEnd>
__attribute__((noinline)) void strip_half(const Depthwise3x3& d, const Strip& strip, typename V::Reg* words) {
  using Reg = typename V::Reg;
  constexpr int s = kHigh ? 2 : 0;
  const BlockFinish<V, kEnd> finish(d.finish);
  const auto weight = [&](int row, int column, int sub) __attribute__((always_inline)) {
    return V::load(strip.weights + ((row * 3 + column) * 4 + sub) * V::kWidth);
  };
  const Reg wa00 = weight(0, 0, s), wa01 = weight(0, 1, s), wa02 = weight(0, 2, s);
  const Reg wa10 = weight(1, 0, s), wa11 = weight(1, 1, s), wa12 = weight(1, 2, s);
  const Reg wb00 = weight(0, 0, s + 1), wb01 = weight(0, 1, s + 1), wb02 = weight(0, 2, s + 1);
  const Reg wb10 = weight(1, 0, s + 1), wb11 = weight(1, 1, s + 1), wb12 = weight(1, 2, s + 1);
  const Reg start_a = V::load(d.start + strip.channel + s * V::kWidth / 4);
  const Reg start_b = V::load(d.start + strip.channel + (s + 1) * V::kWidth / 4);
  const Reg zero = V::splat(d.zero);
  const int first = strip.x - d.pad_left;
  const RowSet<4> rows(d, strip.y - d.pad_top, strip.two ? 4 : 3, first, strip.channel);
  const std::uint8_t *const r0 = rows.row[0], *const r1 = rows.row[1], *const r2 = rows.row[2], *const r3 = rows.row[3];
  const std::ptrdiff_t in_pitch = d.in_pitch, out_pitch = d.out_pitch;
  std::uint8_t* out0 = d.out + (std::ptrdiff_t{strip.y} * d.ow + strip.x) * out_pitch + strip.channel;
  const std::ptrdiff_t to_second = strip.two ? d.ow * out_pitch : 0;
  std::ptrdiff_t at = 0;  // of the next input column
  const auto column = [&](bool inside, Reg& a, Reg& b) __attribute__((always_inline)) {
    if (inside) {
      interleave_half<V, kHigh>(V::load(r0 + at), V::load(r1 + at), V::load(r2 + at), V::load(r3 + at), a, b);
    } else {
      a = b = zero;
    }
    at += in_pitch;
  };
  Reg pa, pb, qa, qb, ra, rb;
  column(first >= 0 && first < d.iw, pa, pb);
  column(first + 1 >= 0 && first + 1 < d.iw, qa, qb);
  const auto step = [&](bool inside) __attribute__((always_inline)) {
    column(inside, ra, rb);
    const Reg a0 = V::dot(V::dot(V::dot(start_a, pa, wa00), qa, wa01), ra, wa02);
    const Reg b0 = V::dot(V::dot(V::dot(start_b, pb, wb00), qb, wb01), rb, wb02);
    const Reg a1 = V::dot(V::dot(V::dot(start_a, pa, wa10), qa, wa11), ra, wa12);
    const Reg b1 = V::dot(V::dot(V::dot(start_b, pb, wb10), qb, wb11), rb, wb12);
    pa = qa, pb = qb, qa = ra, qb = rb;
    if constexpr (kHigh) {
      V::store(out0 + to_second, finish.bytes(words[1], finish.words(a1, b1)));
      V::store(out0, finish.bytes(words[0], finish.words(a0, b0)));
      out0 += out_pitch;
    } else {
      words[0] = finish.words(a0, b0);
      words[1] = finish.words(a1, b1);
    }
    words += 2;
  };
  const Inner inner(d, strip.columns, first + 2, first + 2);
  int x = 0;
  for (; x < inner.begin; ++x) step(false);
  for (; x < inner.end; ++x) step(true);
  for (; x < strip.columns; ++x) step(false);
}

/// A strip of one row with stride 2: each third input column is shared by two outputs.
template <class V, TileEnd kEnd>
__attribute__((noinline)) void strip_stride2(const Depthwise3x3& d, const Strip& strip) {
  using Reg = typename V::Reg;
  const BlockFinish<V, kEnd> finish(d.finish);
  Reg starts[4], w[12], acc[4], column[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) starts[s] = V::load(d.start + strip.channel + s * V::kWidth / 4);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) w[i] = V::load(strip.weights + i * V::kWidth);
  const Reg zero = V::splat(d.zero);
  const int first = 2 * strip.x - d.pad_left;
  const RowSet<3> rows(d, 2 * strip.y - d.pad_top, 3, first, strip.channel);
  const std::uint8_t *const r0 = rows.row[0], *const r1 = rows.row[1], *const r2 = rows.row[2];
  const std::ptrdiff_t in_pitch = d.in_pitch, out_pitch = d.out_pitch;
  std::ptrdiff_t at = 0;
  const auto next_column = [&](bool inside) __attribute__((always_inline)) {
    if (inside) {
      interleave<V>(V::load(r0 + at), V::load(r1 + at), V::load(r2 + at), zero, column);
    } else {
      column[0] = column[1] = column[2] = column[3] = zero;
    }
    at += in_pitch;
  };
  const auto is_inside = [&](int x) { return x >= 0 && x < d.iw; };
  next_column(is_inside(first));
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) acc[s] = V::dot(starts[s], column[s], w[s]);
  std::uint8_t* out = d.out + (std::ptrdiff_t{strip.y} * d.ow + strip.x) * out_pitch + strip.channel;
  const auto step = [&](bool second, bool third) __attribute__((always_inline)) {
    Reg next[4];
    next_column(second);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = V::dot(acc[s], column[s], w[4 + s]);
    next_column(third);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      acc[s] = V::dot(acc[s], column[s], w[8 + s]);
      next[s] = V::dot(starts[s], column[s], w[s]);
    }
    V::store(out, finish.bytes(finish.words(acc[0], acc[1]), finish.words(acc[2], acc[3])));
    out += out_pitch;
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = next[s];
  };
  const Inner inner(d, strip.columns, first + 1, first + 2);
  int x = 0;
  for (; x < inner.begin; ++x) step(is_inside(first + 2 * x + 1), is_inside(first + 2 * x + 2));
  for (; x < inner.end; ++x) step(true, true);
  for (; x < strip.columns; ++x) step(is_inside(first + 2 * x + 1), is_inside(first + 2 * x + 2));
}

/// One or two output rows of a block of channels.
template <class V, TileEnd kEnd>
inline void rows_of_block(const Depthwise3x3& d, int y, int rows, int channel, const std::int8_t* weights) {
  typename V::Reg words[2 * kMaxStrip];
  const int strip_columns = depthwise_strip(static_cast<int>(d.in_pitch));
  for (int x = 0; x < d.ow; x += strip_columns) {
    const int columns = d.ow - x < strip_columns ? d.ow - x : strip_columns;
    Strip strip{y, x, columns, channel, rows == 2, weights};
    if (d.stride == 1) {
      strip_half<V, false, kEnd>(d, strip, words);
      strip_half<V, true, kEnd>(d, strip, words);
    } else {
      for (int i = 0; i < rows; ++i, ++strip.y) strip_stride2<V, kEnd>(d, strip);
    }
  }
}

template <TileEnd kEnd>
inline void depthwise3x3_ending(const Depthwise3x3& d) {
  for (int y = d.row_begin; y < d.row_end; y += 2) {
    const int rows = d.row_end - y < 2 ? 1 : 2;
    const std::int8_t* w = d.w;
    for (int c = 0; c < d.channels;) {
      const int block = depthwise_block(d.channels - c);
      if (block == 64) rows_of_block<Bytes64, kEnd>(d, y, rows, c, w);
      if (block == 32) rows_of_block<Bytes32, kEnd>(d, y, rows, c, w);
      if (block == 16) rows_of_block<Bytes16, kEnd>(d, y, rows, c, w);
      w += 24 * block;
      c += block;
    }
  }
}

inline void depthwise3x3(const Depthwise3x3& d) {
  switch (tile_end(d.finish)) {
    case TileEnd::plain: return depthwise3x3_ending<TileEnd::plain>(d);
    case TileEnd::early: return depthwise3x3_ending<TileEnd::early>(d);
    case TileEnd::late: return depthwise3x3_ending<TileEnd::late>(d);
  }
}

/// One pixel of a block of channels, any taps.
template <class V>
inline void pixel_of_block(const Depthwise& d, const std::uint8_t* const* taps, int channel, const std::int8_t* weights,
                           std::uint8_t* out) {
  using Reg = typename V::Reg;
  Reg acc[4], column[4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) acc[s] = V::load(d.start + channel + s * V::kWidth / 4);
  for (int t = 0; t < d.tap_count; t += 4, weights += 4 * V::kWidth) {
    Reg x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = V::load(taps[t + i < d.tap_count ? t + i : t] + channel);
    interleave<V>(x[0], x[1], x[2], x[3], column);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = V::dot(acc[s], column[s], V::load(weights + s * V::kWidth));
  }
  if (d.finish.kind == FinishKind::folded) {
    const BlockFinish<V, TileEnd::late> finish(d.finish);
    V::store(out, finish.bytes(finish.words(acc[0], acc[1]), finish.words(acc[2], acc[3])));
    return;
  }
  constexpr int kParts = V::kWidth / 16;
  alignas(64) std::int32_t each[V::kWidth], ordered[V::kWidth];
  for (int s = 0; s < 4; ++s) V::store(each + s * V::kWidth / 4, acc[s]);
  for (int s = 0; s < 4; ++s) {
    for (int part = 0; part < kParts; ++part) {
      for (int j = 0; j < 4; ++j) ordered[part * 16 + s * 4 + j] = each[(s * kParts + part) * 4 + j];
    }
  }
  Finish finish = d.finish;
  if (finish.slopes != nullptr) finish.slopes += channel;
  finish_each(
      finish, [&](int c) { return _mm512_loadu_si512(ordered + c); }, out, V::kWidth);
}

inline void depthwise(const Depthwise& d) {
  const int quads = (d.tap_count + 3) / 4;
  for (int p = 0; p < d.pixels; ++p) {
    const std::uint8_t* const* taps = d.taps + std::ptrdiff_t{p} * d.tap_count;
    const std::int8_t* w = d.w;
    std::uint8_t* out = d.out + p * d.out_stride;
    for (int c = 0; c < d.channels;) {
      const int block = depthwise_block(d.channels - c);
      if (block == 64) pixel_of_block<Bytes64>(d, taps, c, w, out + c);
      if (block == 32) pixel_of_block<Bytes32>(d, taps, c, w, out + c);
      if (block == 16) pixel_of_block<Bytes16>(d, taps, c, w, out + c);
      w += std::ptrdiff_t{quads} * 4 * block;
      c += block;
    }
  }
}

}  // namespace
}  // namespace binade::integer
