// Additions, changes of scale and pooling with AVX-512.
#pragma once

#include "core/integer/simd/finish_avx512.hpp"

namespace binade::integer {
namespace {

inline __m512i widened(const std::uint8_t* bytes, int lanes) {
  return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(lanes), bytes));
}

/// Whether an addition that rounds half up fits in 16 bits, everything included.
inline bool adds_in_words(const Add& add) {
  const Finish& finish = add.finish;
  if (finish.kind != FinishKind::narrow || finish.shift > 14 || add.shift_a > 6 || add.shift_b > 6) return false;
  if (finish.round != Round::half_up && finish.shift != 0) return false;
  const int half = finish.shift == 0 ? 0 : 1 << (finish.shift - 1);
  return (256 << add.shift_a) + (256 << add.shift_b) + half + (finish.zero << finish.shift) <= 32767;
}

/// Both operands' bytes side by side are two products of vpmaddubsw; packing restores the order of the bytes.
inline void add_words(const Add& add) {
  const Finish& finish = add.finish;
  const int half = finish.shift == 0 ? 0 : 1 << (finish.shift - 1);
  const int constant = half + (finish.zero << finish.shift) - (add.zero_a << add.shift_a) - (add.zero_b << add.shift_b);
  const __m512i start = _mm512_set1_epi16(static_cast<short>(constant));
  const __m512i factors = _mm512_set1_epi16(static_cast<short>(1 << (8 + add.shift_b) | 1 << add.shift_a));
  const __m512i lo = _mm512_set1_epi8(static_cast<char>(finish.lo)),
                hi = _mm512_set1_epi8(static_cast<char>(finish.hi));
  const __m128i shift = _mm_cvtsi32_si128(finish.shift);
  const auto sum = [&](__m512i pairs) __attribute__((always_inline)) {
    return _mm512_sra_epi16(_mm512_add_epi16(_mm512_maddubs_epi16(pairs, factors), start), shift);
  };
  const auto bytes = [&](__m512i a, __m512i b) __attribute__((always_inline)) {
    const __m512i low = sum(_mm512_unpacklo_epi8(a, b)), high = sum(_mm512_unpackhi_epi8(a, b));
    return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), lo), hi);
  };
  std::int64_t i = 0;
  for (; i + 64 <= add.count; i += 64) {
    _mm512_storeu_si512(add.out + i, bytes(_mm512_loadu_si512(add.a + i), _mm512_loadu_si512(add.b + i)));
  }
  if (i == add.count) return;
  const __mmask64 mask = (__mmask64{1} << (add.count - i)) - 1;
  _mm512_mask_storeu_epi8(add.out + i, mask,
                          bytes(_mm512_maskz_loadu_epi8(mask, add.a + i), _mm512_maskz_loadu_epi8(mask, add.b + i)));
}

inline void add(const Add& add) {
  if (adds_in_words(add)) return add_words(add);
  constexpr int kPart = 1 << 20;  // counts of finish_each are ints
  for (std::int64_t first = 0; first < add.count; first += kPart) {
    const int count = add.count - first < kPart ? static_cast<int>(add.count - first) : kPart;
    const __m512i zero_a = _mm512_set1_epi32(add.zero_a), zero_b = _mm512_set1_epi32(add.zero_b);
    const __m128i shift_a = _mm_cvtsi32_si128(add.shift_a), shift_b = _mm_cvtsi32_si128(add.shift_b);
    finish_each(
        add.finish,
        [&](int i) {
          const __m512i a = _mm512_sub_epi32(widened(add.a + first + i, count - i), zero_a);
          const __m512i b = _mm512_sub_epi32(widened(add.b + first + i, count - i), zero_b);
          return _mm512_add_epi32(_mm512_sll_epi32(a, shift_a), _mm512_sll_epi32(b, shift_b));
        },
        add.out + first, count);
  }
}

inline void rescale(const Finish& finish, const std::uint8_t* in, std::int32_t zero, std::uint8_t* out, int channels) {
  const __m512i zeros = _mm512_set1_epi32(zero);
  finish_each(
      finish, [&](int i) { return _mm512_sub_epi32(widened(in + i, channels - i), zeros); }, out, channels);
}

inline void finish_row(const Finish& finish, const std::int32_t* acc, std::uint8_t* bytes, int channels) {
  finish_each(
      finish, [&](int i) { return _mm512_maskz_loadu_epi32(first_lanes(channels - i), acc + i); }, bytes, channels);
}

inline void max(const std::uint8_t* const* in, int count, std::uint8_t* out, int channels) {
  int c = 0;
  for (; c + 64 <= channels; c += 64) {
    __m512i most = _mm512_loadu_si512(in[0] + c);
    for (int i = 1; i < count; ++i) most = _mm512_max_epu8(most, _mm512_loadu_si512(in[i] + c));
    _mm512_storeu_si512(out + c, most);
  }
  for (; c < channels; c += 16) {
    const __mmask16 mask = first_lanes(channels - c);
    __m128i most = _mm_maskz_loadu_epi8(mask, in[0] + c);
    for (int i = 1; i < count; ++i) most = _mm_max_epu8(most, _mm_maskz_loadu_epi8(mask, in[i] + c));
    _mm_mask_storeu_epi8(out + c, mask, most);
  }
}

/// A cache line of each pixel at a time.
inline void sum(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels) {
  int c = 0;
  for (; c + 64 <= channels; c += 64) {
    __m512i total[4] = {};
    for (int i = 0; i < count; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const auto* bytes = reinterpret_cast<const __m128i*>(in[i] + c + 16 * j);
        total[j] = _mm512_add_epi32(total[j], _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes)));
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) _mm512_storeu_si512(acc + c + 16 * j, total[j]);
  }
  for (; c < channels; c += 16) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < count; ++i) total = _mm512_add_epi32(total, widened(in[i] + c, channels - c));
    _mm512_mask_storeu_epi32(acc + c, first_lanes(channels - c), total);
  }
}

}  // namespace
}  // namespace binade::integer
