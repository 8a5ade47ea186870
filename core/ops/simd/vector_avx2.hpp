// The vector type of the convolution kernels on AVX2: eight floats. Only for files compiled for it.
#pragma once

#include <immintrin.h>

namespace binade::simd {
namespace {

struct Vector256 {
  using Reg = __m256;
  static constexpr int width = 8;
  static constexpr int kPixels = 8;
  static constexpr int kWeightVectors = 2;
  static constexpr int kAccumulators = 12, kMaxVectors = 2;
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg load(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  /// `fill` in the lanes beyond n.
  static Reg load(const float* p, int n, Reg fill) {
    const __m256i mask = first(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
  }
  static void store(float* p, Reg r) { _mm256_storeu_ps(p, r); }
  static void store(float* p, int n, Reg r) { _mm256_maskstore_ps(p, first(n), r); }
  static Reg set(float f) { return _mm256_set1_ps(f); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  /// g where lo < y < hi, else 0.
  static Reg inside(Reg y, Reg lo, Reg hi, Reg g) {
    const Reg in = _mm256_and_ps(_mm256_cmp_ps(lo, y, _CMP_LT_OQ), _mm256_cmp_ps(y, hi, _CMP_LT_OQ));
    return _mm256_and_ps(in, g);
  }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg clamp(Reg r, Reg lo, Reg hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, r)); }
  static Reg round_half_up(Reg r) {
    const Reg floor = _mm256_floor_ps(r);
    const Reg up = _mm256_cmp_ps(_mm256_sub_ps(r, floor), _mm256_set1_ps(0.5f), _CMP_GE_OQ);
    return _mm256_blendv_ps(floor, _mm256_add_ps(floor, _mm256_set1_ps(1.0f)), up);
  }
  static float sum(Reg r) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(r), _mm256_extractf128_ps(r, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float largest(Reg r) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(r), _mm256_extractf128_ps(r, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  /// 2^n of whole numbers from -126 to 127.
  static Reg power_of_two(Reg n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
};

}  // namespace
}  // namespace binade::simd
