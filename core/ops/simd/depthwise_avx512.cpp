// The depthwise kernels for AVX-512.
#include <immintrin.h>

#include "core/ops/simd/depthwise_body.hpp"

namespace binade::simd {
namespace {

struct Vector512 {
  using Reg = __m512;
  static constexpr int width = 16;
  static constexpr int kPixels = 8;
  static constexpr int kWeightVectors = 4;
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static Reg load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, Reg r) { _mm512_storeu_ps(p, r); }
  static void store(float* p, int n, Reg r) { _mm512_mask_storeu_ps(p, first(n), r); }
  static Reg set(float f) { return _mm512_set1_ps(f); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg clamp(Reg r, Reg lo, Reg hi) {
    // The masked forms: GCC 12 warns of its own header in the plain ones.
    return _mm512_maskz_min_ps(0xffff, hi, _mm512_maskz_max_ps(0xffff, lo, r));
  }
};

}  // namespace

const DepthwiseKernels depthwise_avx512{forward<Vector512>, backward_data<Vector512>, backward_weights<Vector512>};

}  // namespace binade::simd
