// Rows of accumulators become rows of bytes, with AVX-512.
#pragma once

#include <immintrin.h>

#include "core/integer/simd/finish_scalar.hpp"

namespace binade::integer {
namespace {

inline __mmask16 first_lanes(int lanes) {
  return lanes >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << lanes) - 1);
}

/// 16 bytes; only the first `lanes` are written.
inline void store_bytes(std::uint8_t* to, __m128i bytes, int lanes) {
  _mm_mask_storeu_epi8(to, first_lanes(lanes), bytes);
}

/// How folded accumulators end. Shifts of 1 .. 8 may come after the first pack: what the unsigned words cut off ends at
/// 255 anyway. That saves half of the shifts, and a shift of words can be a multiplication, for which other units of
/// the processor are free. `plain` also needs no limits.
enum class TileEnd { plain, early, late };

inline TileEnd tile_end(const Finish& finish) {
  if (finish.shift < 1 || finish.shift > 8) return TileEnd::late;
  return finish.lo == 0 && finish.hi == 255 ? TileEnd::plain : TileEnd::early;
}

/// A shift of unsigned words by 1 .. 8, as the factor of a multiplication that keeps the upper half.
inline short shift_factor(const Finish& finish) {
  return static_cast<short>(finish.shift < 1 || finish.shift > 8 ? 1 : 1 << (16 - finish.shift));
}

/// A Finish of 32 bits, without slopes, in registers.
struct NarrowFinish {
  explicit NarrowFinish(const Finish& finish)
      : shift(_mm_cvtsi32_si128(finish.shift)),
        lo(_mm512_set1_epi32(finish.lo)),
        hi(_mm512_set1_epi32(finish.hi)),
        zero(_mm512_set1_epi32(finish.kind == FinishKind::folded ? 0 : finish.zero)),
        half(_mm512_set1_epi32(finish.kind == FinishKind::folded || finish.shift == 0 ? 0 : 1 << (finish.shift - 1))),
        down(_mm512_setzero_si512()),
        even(false) {
    if (finish.kind == FinishKind::folded || finish.shift == 0) return;
    if (finish.round == Round::half_away) down = _mm512_set1_epi32(-1);
    even = finish.round == Round::half_even;
  }

  /// Rounding half away adds one less below zero; rounding half to even one less where the floor is even.
  __m512i rounded(__m512i acc) const {
    __m512i sum = _mm512_add_epi32(acc, half);
    if (even) {
      const __m512i odd = _mm512_and_si512(_mm512_sra_epi32(acc, shift), _mm512_set1_epi32(1));
      sum = _mm512_add_epi32(sum, _mm512_sub_epi32(odd, _mm512_set1_epi32(1)));
    } else {
      sum = _mm512_add_epi32(sum, _mm512_and_si512(_mm512_srai_epi32(acc, 31), down));
    }
    return _mm512_sra_epi32(sum, shift);
  }

  __m128i operator()(__m512i acc) const {
    const __m512i code = _mm512_add_epi32(rounded(acc), zero);
    return _mm512_cvtepi32_epi8(_mm512_min_epi32(_mm512_max_epi32(code, lo), hi));
  }

  __m128i shift;
  __m512i lo, hi, zero, half, down;
  bool even;
};

/// Eight accumulators of 64 bits.
inline __m128i finish_wide(const Finish& finish, __m512i v) {
  const __m128i shift = _mm_cvtsi32_si128(finish.shift < 0 ? -finish.shift : finish.shift);
  if (finish.shift <= 0) {
    v = _mm512_sll_epi64(v, shift);
  } else {
    const __m512i one = _mm512_set1_epi64(1);
    __m512i sum = _mm512_add_epi64(v, _mm512_set1_epi64(std::int64_t{1} << (finish.shift - 1)));
    if (finish.round == Round::half_away) sum = _mm512_add_epi64(sum, _mm512_srai_epi64(v, 63));
    if (finish.round == Round::half_even) {
      sum = _mm512_add_epi64(sum, _mm512_sub_epi64(_mm512_and_si512(_mm512_sra_epi64(v, shift), one), one));
    }
    v = _mm512_sra_epi64(sum, shift);
  }
  v = _mm512_max_epi64(v, _mm512_set1_epi64(finish.lo - finish.zero));
  v = _mm512_min_epi64(v, _mm512_set1_epi64(finish.hi - finish.zero));
  return _mm512_cvtepi64_epi8(_mm512_add_epi64(v, _mm512_set1_epi64(finish.zero)));
}

/// Eight accumulators times their slopes.
inline __m512i sloped(const Finish& finish, __m256i acc, int channel) {
  const __m512i v = _mm512_cvtepi32_epi64(acc);
  if (finish.slopes == nullptr) return v;
  const __m256i slopes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(finish.slopes + channel));
  const __m512i below = _mm512_mul_epi32(v, _mm512_cvtepi32_epi64(slopes));
  const __m512i above = _mm512_sll_epi64(v, _mm_cvtsi32_si128(finish.slope_frac));
  return _mm512_mask_blend_epi64(_mm512_cmplt_epi64_mask(v, _mm512_setzero_si512()), above, below);
}

/// 64 bits suffice for shifts up to 62: beyond, the scalar form knows.
inline bool shifts_in_vectors(const Finish& finish) {
  return finish.shift <= 62 && finish.shift >= -62;
}

/// bytes[i] = finish(accumulator(i)), i from 0, 16 at a time.
template <class Accumulators>
inline void finish_each(const Finish& finish, const Accumulators& accumulators, std::uint8_t* bytes, int count) {
  if (finish.kind != FinishKind::wide) {
    const NarrowFinish narrow(finish);
    for (int i = 0; i < count; i += 16) store_bytes(bytes + i, narrow(accumulators(i)), count - i);
    return;
  }
  for (int i = 0; i < count; i += 16) {
    const __m512i acc = accumulators(i);
    if (shifts_in_vectors(finish)) {
      const __m128i low = finish_wide(finish, sloped(finish, _mm512_castsi512_si256(acc), i));
      const __m128i high = finish_wide(finish, sloped(finish, _mm512_extracti64x4_epi64(acc, 1), i + 8));
      store_bytes(bytes + i, _mm_unpacklo_epi64(low, high), count - i);
    } else {
      alignas(64) std::int32_t each[16];
      _mm512_store_si512(each, acc);
      for (int lane = 0; lane < 16 && i + lane < count; ++lane) {
        bytes[i + lane] = finished(finish, each[lane], i + lane);
      }
    }
  }
}

}  // namespace
}  // namespace binade::integer
