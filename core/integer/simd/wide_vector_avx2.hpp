// What wide kernels ask of a vector, with AVX2.
#pragma once

#include <immintrin.h>

#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {
namespace {

struct Vector256 {
  using Reg = __m256i;
  static constexpr int kLanes = 8;
  /// Rows of a tile of one panel and of two; with chunks there are twice as many accumulators.
  static constexpr int kNarrowRows[3] = {0, 8, 4}, kSplitRows[3] = {0, 5, 3};
  static constexpr int kShallowRows[3] = {0, 8, 4};  ///< where little is summed

  static Reg load(const void* p) { return _mm256_loadu_si256(static_cast<const Reg*>(p)); }
  static void store(void* p, Reg v) { _mm256_storeu_si256(static_cast<Reg*>(p), v); }
  static Reg zero() { return _mm256_setzero_si256(); }
  static Reg splat32(std::int32_t v) { return _mm256_set1_epi32(v); }
  static Reg splat16(std::int32_t v) { return _mm256_set1_epi16(static_cast<short>(v)); }
  static void add_dot(Reg& acc, Reg x, Reg w) { acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, w)); }
  /// high += acc >> 16; acc &= 0xffff
  static void split(Reg& acc, Reg& high) {
    high = _mm256_add_epi32(high, _mm256_srai_epi32(acc, 16));
    acc = _mm256_blend_epi16(acc, _mm256_setzero_si256(), 0xAA);
  }
  static Reg add32(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  static Reg sub32(Reg a, Reg b) { return _mm256_sub_epi32(a, b); }
  static Reg sign32(Reg v) { return _mm256_srai_epi32(v, 31); }
  static Reg sub16(Reg a, Reg b) { return _mm256_sub_epi16(a, b); }
  static Reg add16(Reg a, Reg b) { return _mm256_add_epi16(a, b); }
  static Reg sra32(Reg v, __m128i by) { return _mm256_sra_epi32(v, by); }
  static Reg srl32(Reg v, __m128i by) { return _mm256_srl_epi32(v, by); }
  static Reg sll32(Reg v, __m128i by) { return _mm256_sll_epi32(v, by); }
  static Reg either(Reg a, Reg b) { return _mm256_or_si256(a, b); }
  static Reg flip(Reg a, Reg b) { return _mm256_xor_si256(a, b); }
  static Reg clamp32(Reg v, Reg lo, Reg hi) { return _mm256_min_epi32(_mm256_max_epi32(v, lo), hi); }
  static Reg clamp16(Reg v, Reg lo, Reg hi) { return _mm256_min_epi16(_mm256_max_epi16(v, lo), hi); }
  static Reg pack_signed(Reg a, Reg b) { return _mm256_packs_epi32(a, b); }
  static Reg pack_unsigned(Reg a, Reg b) { return _mm256_packus_epi32(a, b); }
  static Reg low16(Reg a, Reg b) { return _mm256_unpacklo_epi16(a, b); }
  static Reg high16(Reg a, Reg b) { return _mm256_unpackhi_epi16(a, b); }
  static Reg widen(const std::uint8_t* bytes) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  }
  /// The lower halves of the parts of 16 bytes, side by side.
  static Reg lower_halves(Reg v) { return _mm256_permute4x64_epi64(v, 0b11'01'10'00); }

  static void store_words(std::uint8_t* to, Reg v, int count) {
    if (count == 16) {
      store(to, v);
    } else if (count == 8) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(v));
    } else {
      alignas(32) std::uint8_t whole[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(whole), v);
      __builtin_memcpy(to, whole, 2 * static_cast<std::size_t>(count));
    }
  }
  /// Of words 0 .. 255.
  static void store_bytes(std::uint8_t* to, Reg v, int count) {
    const __m128i bytes = _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi16(v, v), 0b11'01'10'00));
    if (count == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    } else {
      alignas(16) std::uint8_t whole[16];
      _mm_store_si128(reinterpret_cast<__m128i*>(whole), bytes);
      __builtin_memcpy(to, whole, static_cast<std::size_t>(count));
    }
  }
};

}  // namespace
}  // namespace binade::integer
