// The vector type of the convolution kernels on AVX-512: sixteen floats. Only for files compiled for it.
#pragma once

#include <immintrin.h>

namespace binade::simd {
namespace {

struct Vector512 {
  using Reg = __m512;
  static constexpr int width = 16;
  static constexpr int kPixels = 8;         ///< neighbours that a depthwise tile holds
  static constexpr int kWeightVectors = 4;  ///< vectors of channels in a depthwise weight gradient
  static constexpr int kAccumulators = 24, kMaxVectors = 4;
  static constexpr __mmask16 kAll = 0xffff;  // the masked forms: GCC 12 warns of its own header in the plain ones
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  /// `fill` in the lanes beyond n.
  static Reg load(const float* p, int n, Reg fill) { return _mm512_mask_loadu_ps(fill, first(n), p); }
  static void store(float* p, Reg r) { _mm512_storeu_ps(p, r); }
  static void store(float* p, int n, Reg r) { _mm512_mask_storeu_ps(p, first(n), r); }
  static Reg set(float f) { return _mm512_set1_ps(f); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  /// g where lo < y < hi, else 0.
  static Reg inside(Reg y, Reg lo, Reg hi, Reg g) {
    const __mmask16 above = _mm512_cmp_ps_mask(lo, y, _CMP_LT_OQ);
    return _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, y, hi, _CMP_LT_OQ), g);
  }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg clamp(Reg r, Reg lo, Reg hi) { return _mm512_maskz_min_ps(kAll, hi, _mm512_maskz_max_ps(kAll, lo, r)); }
  static Reg round_half_up(Reg r) {
    const Reg floor = _mm512_maskz_roundscale_ps(kAll, r, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __mmask16 up = _mm512_cmp_ps_mask(_mm512_sub_ps(r, floor), _mm512_set1_ps(0.5f), _CMP_GE_OQ);
    return _mm512_mask_add_ps(floor, up, floor, _mm512_set1_ps(1.0f));
  }
  static float sum(Reg r) { return _mm512_reduce_add_ps(r); }
  static float largest(Reg r) { return _mm512_reduce_max_ps(r); }
  /// 2^n of whole numbers from -126 to 127.
  static Reg power_of_two(Reg n) { return _mm512_maskz_scalef_ps(kAll, _mm512_set1_ps(1.0f), n); }
};

}  // namespace
}  // namespace binade::simd
