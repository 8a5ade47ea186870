// What wide kernels ask of a vector, with AVX-512.
#pragma once

#include <immintrin.h>

#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {
namespace {

struct Vector512 {
  using Reg = __m512i;
  static constexpr int kLanes = 16;
  /// Rows of a tile of one panel and of two; with chunks there are twice as many accumulators.
  static constexpr int kNarrowRows[3] = {0, 12, 12}, kSplitRows[3] = {0, 12, 6};
  static constexpr int kShallowRows[3] = {0, 6, 6};  ///< where little is summed

  static Reg load(const void* p) { return _mm512_loadu_si512(p); }
  static void store(void* p, Reg v) { _mm512_storeu_si512(p, v); }
  static Reg zero() { return _mm512_setzero_si512(); }
  static Reg splat32(std::int32_t v) { return _mm512_set1_epi32(v); }
  static Reg splat16(std::int32_t v) { return _mm512_set1_epi16(static_cast<short>(v)); }
  // Sums are changed where they are: left to itself the compiler copies them around and runs out of registers.
  static void add_dot(Reg& acc, Reg x, Reg w) { asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w)); }
  /// high += acc >> 16; acc &= 0xffff
  static void split(Reg& acc, Reg& high) {
    Reg upper;
    asm("vpsrad $16, %0, %2\n\tvpaddd %2, %1, %1\n\tvmovdqu16 %0, %0%{%3%}%{z%}"
        : "+v"(acc), "+v"(high), "=&v"(upper)
        : "Yk"(static_cast<__mmask32>(0x55555555U)));
  }
  static Reg add32(Reg a, Reg b) { return _mm512_add_epi32(a, b); }
  static Reg sub32(Reg a, Reg b) { return _mm512_sub_epi32(a, b); }
  static Reg sign32(Reg v) { return _mm512_srai_epi32(v, 31); }
  static Reg sub16(Reg a, Reg b) { return _mm512_sub_epi16(a, b); }
  static Reg add16(Reg a, Reg b) { return _mm512_add_epi16(a, b); }
  static Reg sra32(Reg v, __m128i by) { return _mm512_sra_epi32(v, by); }
  static Reg srl32(Reg v, __m128i by) { return _mm512_srl_epi32(v, by); }
  static Reg sll32(Reg v, __m128i by) { return _mm512_sll_epi32(v, by); }
  static Reg either(Reg a, Reg b) { return _mm512_or_si512(a, b); }
  static Reg flip(Reg a, Reg b) { return _mm512_xor_si512(a, b); }
  static Reg clamp32(Reg v, Reg lo, Reg hi) { return _mm512_min_epi32(_mm512_max_epi32(v, lo), hi); }
  static Reg clamp16(Reg v, Reg lo, Reg hi) { return _mm512_min_epi16(_mm512_max_epi16(v, lo), hi); }
  static Reg pack_signed(Reg a, Reg b) { return _mm512_packs_epi32(a, b); }
  static Reg pack_unsigned(Reg a, Reg b) { return _mm512_packus_epi32(a, b); }
  static Reg low16(Reg a, Reg b) { return _mm512_unpacklo_epi16(a, b); }
  static Reg high16(Reg a, Reg b) { return _mm512_unpackhi_epi16(a, b); }
  static Reg widen(const std::uint8_t* bytes) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
  }
  /// The lower halves of the parts of 16 bytes, side by side.
  static Reg lower_halves(Reg v) { return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v); }

  static void store_words(std::uint8_t* to, Reg v, int count) {
    if (count == 32) {
      store(to, v);
    } else if (count == 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(v));
    } else {
      _mm512_mask_storeu_epi16(to, (1U << count) - 1, v);
    }
  }
  static void store_bytes(std::uint8_t* to, Reg v, int count) {
    const __m256i bytes = _mm512_cvtepi16_epi8(v);
    if (count == 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    } else if (count == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(bytes));
    } else {
      _mm256_mask_storeu_epi8(to, (1U << count) - 1, bytes);
    }
  }
};

}  // namespace
}  // namespace binade::integer
