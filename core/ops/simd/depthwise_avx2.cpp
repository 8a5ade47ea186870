// The depthwise kernels for AVX2.
#include <immintrin.h>

#include "core/ops/simd/depthwise_body.hpp"

namespace binade::simd {
namespace {

struct Vector256 {
  using Reg = __m256;
  static constexpr int width = 8;
  static constexpr int kPixels = 8;
  static constexpr int kWeightVectors = 2;
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static Reg load(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, Reg r) { _mm256_storeu_ps(p, r); }
  static void store(float* p, int n, Reg r) { _mm256_maskstore_ps(p, first(n), r); }
  static Reg set(float f) { return _mm256_set1_ps(f); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg clamp(Reg r, Reg lo, Reg hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, r)); }
};

}  // namespace

const DepthwiseKernels depthwise_avx2{forward<Vector256>, backward_data<Vector256>, backward_weights<Vector256>};

}  // namespace binade::simd
