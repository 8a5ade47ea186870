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
  if (add.finish.kind != FinishKind::narrow || add.finish.shift > 14 || add.shift_a > 7 || add.shift_b > 7)
    return false;
  if (add.finish.round != Round::half_up && add.finish.shift != 0) return false;
  const int most = (256 << add.shift_a) + (256 << add.shift_b) +
                   (add.finish.shift == 0 ? 0 : 1 << (add.finish.shift - 1)) + (add.finish.zero << add.finish.shift);
  return most <= 32767;
}

/// Bytes of two vectors, interleaved with zeros in two halves; packing restores their order.
inline void add_words(const Add& add) {
  const Finish& finish = add.finish;
  const int half = finish.shift == 0 ? 0 : 1 << (finish.shift - 1);
  const int constant = half + (finish.zero << finish.shift) - (add.zero_a << add.shift_a) - (add.zero_b << add.shift_b);
  const __m512i zero = _mm512_setzero_si512(), start = _mm512_set1_epi16(static_cast<short>(constant));
  const __m512i lo = _mm512_set1_epi8(static_cast<char>(finish.lo)),
                hi = _mm512_set1_epi8(static_cast<char>(finish.hi));
  const __m128i shift_a = _mm_cvtsi32_si128(add.shift_a), shift_b = _mm_cvtsi32_si128(add.shift_b);
  const __m128i shift = _mm_cvtsi32_si128(finish.shift);
  const auto sum = [&](__m512i a, __m512i b) __attribute__((always_inline)) {
    const __m512i shifted = _mm512_add_epi16(_mm512_sll_epi16(a, shift_a), _mm512_sll_epi16(b, shift_b));
    return _mm512_sra_epi16(_mm512_add_epi16(shifted, start), shift);
  };
  for (std::int64_t i = 0; i < add.count; i += 64) {
    const std::int64_t left = add.count - i;
    const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    const __m512i a = _mm512_maskz_loadu_epi8(mask, add.a + i), b = _mm512_maskz_loadu_epi8(mask, add.b + i);
    const __m512i low = sum(_mm512_unpacklo_epi8(a, zero), _mm512_unpacklo_epi8(b, zero));
    const __m512i high = sum(_mm512_unpackhi_epi8(a, zero), _mm512_unpackhi_epi8(b, zero));
    const __m512i bytes = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), lo), hi);
    if (left >= 64) {
      _mm512_storeu_si512(add.out + i, bytes);
    } else {
      _mm512_mask_storeu_epi8(add.out + i, mask, bytes);
    }
  }
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
  for (int c = 0; c < channels; c += 64) {
    const int left = channels - c;
    const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    __m512i most = _mm512_setzero_si512();
    for (int i = 0; i < count; ++i) most = _mm512_max_epu8(most, _mm512_maskz_loadu_epi8(mask, in[i] + c));
    _mm512_mask_storeu_epi8(out + c, mask, most);
  }
}

inline void sum(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels) {
  for (int c = 0; c < channels; c += 16) {
    __m512i total = _mm512_setzero_si512();
    for (int i = 0; i < count; ++i) total = _mm512_add_epi32(total, widened(in[i] + c, channels - c));
    _mm512_mask_storeu_epi32(acc + c, first_lanes(channels - c), total);
  }
}

}  // namespace
}  // namespace binade::integer
