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
  static Reg pack16(Reg a, Reg b) { return _mm512_packus_epi16(a, b); }
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
  static Reg pack16(Reg a, Reg b) { return _mm256_packus_epi16(a, b); }
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
  static Reg pack16(Reg a, Reg b) { return _mm_packus_epi16(a, b); }
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm_min_epu8(_mm_max_epu8(v, lo), hi); }
};

/// Shift and limits in registers.
template <class V>
struct BlockFinish {
  explicit BlockFinish(const Finish& finish)
      : shift(_mm_cvtsi32_si128(finish.shift)),
        lo(V::splat(static_cast<std::uint8_t>(finish.lo))),
        hi(V::splat(static_cast<std::uint8_t>(finish.hi))) {}

  typename V::Reg words(typename V::Reg a, typename V::Reg b) const {
    return V::pack32(V::shift(a, shift), V::shift(b, shift));
  }
  typename V::Reg bytes(typename V::Reg low, typename V::Reg high) const {
    return V::clamp(V::pack16(low, high), lo, hi);
  }

  __m128i shift;
  typename V::Reg lo, hi;
};

/// The start values of a block, in the order in which accumulators hold channels: {16-byte parts, 4 sub-vectors, 4}
/// becomes sub-vectors of parts.
template <class V>
inline void order_starts(const std::int32_t* start, typename V::Reg (&ordered)[4]) {
  alignas(64) std::int32_t each[V::kWidth];
  constexpr int kParts = V::kWidth / 16;
  for (int s = 0; s < 4; ++s) {
    for (int part = 0; part < kParts; ++part) {
      for (int j = 0; j < 4; ++j) each[(s * kParts + part) * 4 + j] = start[part * 16 + s * 4 + j];
    }
  }
  for (int s = 0; s < 4; ++s) ordered[s] = V::load(each + s * V::kWidth / 4);
}

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

constexpr int kStrip = 28;  ///< output columns of a pass: the input rows and the halves stay in the first cache

/// Addresses of four input rows; rows outside the image are a vector of zero points that does not advance.
struct RowSet {
  const std::uint8_t* row[4];
  std::ptrdiff_t step[4];

  RowSet(const Depthwise3x3& d, int first, int count, const std::uint8_t* outside, int channel) {
    for (int i = 0; i < 4; ++i) {
      const int y = first + i;
      const bool inside = i < count && y >= 0 && y < d.ih;
      row[i] = inside ? d.in + std::ptrdiff_t{y} * d.iw * d.in_pitch + channel : outside;
      step[i] = inside ? d.in_pitch : 0;
    }
  }
};

/// A column of a RowSet, interleaved; columns outside the image hold zero points.
template <class V, bool kHigh>
inline void column_half(const RowSet& rows, int x, int width, typename V::Reg zero, typename V::Reg& first,
                        typename V::Reg& second) {
  if (static_cast<unsigned>(x) >= static_cast<unsigned>(width)) {
    first = second = zero;
    return;
  }
  interleave_half<V, kHigh>(V::load(rows.row[0] + x * rows.step[0]), V::load(rows.row[1] + x * rows.step[1]),
                            V::load(rows.row[2] + x * rows.step[2]), V::load(rows.row[3] + x * rows.step[3]), first,
                            second);
}

/// Two output rows of a strip, half of the sub-vectors. The first pass leaves words, the second makes bytes.
template <class V, bool kHigh>
__attribute__((noinline)) void strip_half(const Depthwise3x3& d, const RowSet& rows, int x0, int count,
                                          const std::int8_t* weights, const typename V::Reg (&starts)[4],
                                          typename V::Reg* words, std::uint8_t* out0, std::uint8_t* out1) {
  using Reg = typename V::Reg;
  constexpr int s = kHigh ? 2 : 0;
  const BlockFinish<V> finish(d.finish);
  const Reg zero = V::splat(d.zero);
  const auto weight = [&](int row, int column, int sub) __attribute__((always_inline)) {
    return V::load(weights + ((row * 3 + column) * 4 + sub) * V::kWidth);
  };
  const Reg wa00 = weight(0, 0, s), wa01 = weight(0, 1, s), wa02 = weight(0, 2, s);
  const Reg wa10 = weight(1, 0, s), wa11 = weight(1, 1, s), wa12 = weight(1, 2, s);
  const Reg wb00 = weight(0, 0, s + 1), wb01 = weight(0, 1, s + 1), wb02 = weight(0, 2, s + 1);
  const Reg wb10 = weight(1, 0, s + 1), wb11 = weight(1, 1, s + 1), wb12 = weight(1, 2, s + 1);
  const Reg start_a = starts[s], start_b = starts[s + 1];
  const int first = x0 - d.pad_left;
  Reg pa, pb, qa, qb, ra, rb;
  column_half<V, kHigh>(rows, first, d.iw, zero, pa, pb);
  column_half<V, kHigh>(rows, first + 1, d.iw, zero, qa, qb);
  for (int x = 0; x < count; ++x) {
    column_half<V, kHigh>(rows, first + x + 2, d.iw, zero, ra, rb);
    const Reg a0 = V::dot(V::dot(V::dot(start_a, pa, wa00), qa, wa01), ra, wa02);
    const Reg b0 = V::dot(V::dot(V::dot(start_b, pb, wb00), qb, wb01), rb, wb02);
    const Reg a1 = V::dot(V::dot(V::dot(start_a, pa, wa10), qa, wa11), ra, wa12);
    const Reg b1 = V::dot(V::dot(V::dot(start_b, pb, wb10), qb, wb11), rb, wb12);
    pa = qa, pb = qb, qa = ra, qb = rb;
    if constexpr (kHigh) {
      V::store(out1, finish.bytes(words[2 * x + 1], finish.words(a1, b1)));
      V::store(out0, finish.bytes(words[2 * x], finish.words(a0, b0)));
      out0 += d.out_pitch, out1 += d.out_pitch;
    } else {
      words[2 * x] = finish.words(a0, b0);
      words[2 * x + 1] = finish.words(a1, b1);
    }
  }
}

/// Two rows (or one, twice to the same place) of a block of channels with stride 1.
template <class V>
inline void rows_stride1(const Depthwise3x3& d, int y, bool two, int channel, const std::int8_t* weights,
                         const std::uint8_t* outside) {
  typename V::Reg starts[4], words[2 * kStrip];
  order_starts<V>(d.start + channel, starts);
  const RowSet rows(d, y - d.pad_top, two ? 4 : 3, outside, channel);
  for (int x = 0; x < d.ow; x += kStrip) {
    const int count = d.ow - x < kStrip ? d.ow - x : kStrip;
    std::uint8_t* out0 = d.out + (std::ptrdiff_t{y} * d.ow + x) * d.out_pitch + channel;
    std::uint8_t* out1 = two ? out0 + std::ptrdiff_t{d.ow} * d.out_pitch : out0;
    strip_half<V, false>(d, rows, x, count, weights, starts, words, out0, out1);
    strip_half<V, true>(d, rows, x, count, weights, starts, words, out0, out1);
  }
}

/// A column of three rows, interleaved with a fourth that meets zero weights.
template <class V>
inline void column_of_three(const RowSet& rows, int x, int width, typename V::Reg zero, typename V::Reg (&out)[4]) {
  if (static_cast<unsigned>(x) >= static_cast<unsigned>(width)) {
    out[0] = out[1] = out[2] = out[3] = zero;
    return;
  }
  interleave<V>(V::load(rows.row[0] + x * rows.step[0]), V::load(rows.row[1] + x * rows.step[1]),
                V::load(rows.row[2] + x * rows.step[2]), zero, out);
}

/// One row of a block of channels with stride 2: each third column is shared by two outputs.
template <class V>
__attribute__((noinline)) void row_stride2(const Depthwise3x3& d, int y, int channel, const std::int8_t* weights,
                                           const std::uint8_t* outside) {
  using Reg = typename V::Reg;
  const BlockFinish<V> finish(d.finish);
  const Reg zero = V::splat(d.zero);
  const RowSet rows(d, 2 * y - d.pad_top, 3, outside, channel);
  Reg starts[4], w[12], acc[4], column[4];
  order_starts<V>(d.start + channel, starts);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) w[i] = V::load(weights + i * V::kWidth);
  column_of_three<V>(rows, -d.pad_left, d.iw, zero, column);
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) acc[s] = V::dot(starts[s], column[s], w[s]);
  std::uint8_t* out = d.out + std::ptrdiff_t{y} * d.ow * d.out_pitch + channel;
  for (int x = 0; x < d.ow; ++x, out += d.out_pitch) {
    Reg next[4];
    column_of_three<V>(rows, 2 * x + 1 - d.pad_left, d.iw, zero, column);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = V::dot(acc[s], column[s], w[4 + s]);
    column_of_three<V>(rows, 2 * x + 2 - d.pad_left, d.iw, zero, column);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      acc[s] = V::dot(acc[s], column[s], w[8 + s]);
      next[s] = V::dot(starts[s], column[s], w[s]);
    }
    V::store(out, finish.bytes(finish.words(acc[0], acc[1]), finish.words(acc[2], acc[3])));
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = next[s];
  }
}

template <class V>
inline void rows_of_block(const Depthwise3x3& d, int y, int rows, int channel, const std::int8_t* weights,
                          const std::uint8_t* outside) {
  if (d.stride == 1) return rows_stride1<V>(d, y, rows == 2, channel, weights, outside);
  for (int i = 0; i < rows; ++i) row_stride2<V>(d, y + i, channel, weights, outside);
}

inline void depthwise3x3(const Depthwise3x3& d) {
  alignas(64) std::uint8_t outside[64];
  _mm512_store_si512(outside, _mm512_set1_epi8(static_cast<char>(d.zero)));
  for (int y = d.row_begin; y < d.row_end; y += 2) {
    const int rows = d.row_end - y < 2 ? 1 : 2;
    const std::int8_t* w = d.w;
    for (int c = 0; c < d.channels;) {
      const int block = depthwise_block(d.channels - c);
      if (block == 64) rows_of_block<Bytes64>(d, y, rows, c, w, outside);
      if (block == 32) rows_of_block<Bytes32>(d, y, rows, c, w, outside);
      if (block == 16) rows_of_block<Bytes16>(d, y, rows, c, w, outside);
      w += 24 * block;
      c += block;
    }
  }
}

/// One pixel of a block of channels, any taps.
template <class V>
inline void pixel_of_block(const Depthwise& d, const std::uint8_t* const* taps, int channel, const std::int8_t* weights,
                           std::uint8_t* out) {
  using Reg = typename V::Reg;
  Reg acc[4], column[4];
  order_starts<V>(d.start + channel, acc);
  for (int t = 0; t < d.tap_count; t += 4, weights += 4 * V::kWidth) {
    Reg x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = V::load(taps[t + i < d.tap_count ? t + i : t] + channel);
    interleave<V>(x[0], x[1], x[2], x[3], column);
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) acc[s] = V::dot(acc[s], column[s], V::load(weights + s * V::kWidth));
  }
  if (d.finish.kind == FinishKind::folded) {
    const BlockFinish<V> finish(d.finish);
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
