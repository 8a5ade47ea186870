// Elementwise float kernels in AVX2 and FMA. Tails use masked loads and stores.
#include <immintrin.h>

#include "core/ops/simd/elementwise_kernels.hpp"

namespace binade::simd {
namespace {

/// All ones in the first n lanes, n = 1 .. 8 (more means 8).
__m256i tail_mask(std::int64_t n) {
  const int lanes = n >= 8 ? 8 : static_cast<int>(n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// max and min return their second operand when the two are equal or one is NaN
__m256 limit(__m256 x, __m256 lo, __m256 hi) {
  return _mm256_min_ps(hi, _mm256_max_ps(lo, x));
}

/// 1 where the condition's mask is set, else 0.
__m256 one_where(__m256 mask) {
  return _mm256_and_ps(mask, _mm256_set1_ps(1));
}

/// As round_real: truncate, look at the exact rest, step away from zero. -0 is removed by the caller.
template <int kRounding>
__m256 round_codes(__m256 x) {
  if constexpr (kRounding == 2) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  } else if constexpr (kRounding == 0) {
    // floor(x + 1/2) without the sum's rounding: the rest of x just below zero rounds to 1/2 only from above 1/2
    const __m256 floor = _mm256_round_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __m256 rest = _mm256_sub_ps(x, floor);
    return _mm256_add_ps(floor, one_where(_mm256_cmp_ps(rest, _mm256_set1_ps(0.5f), _CMP_GE_OQ)));
  } else {
    const __m256 whole = _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256 rest = _mm256_sub_ps(x, whole);
    const __m256 up = one_where(_mm256_cmp_ps(rest, _mm256_set1_ps(0.5f), _CMP_GE_OQ));
    const __m256 down = one_where(_mm256_cmp_ps(rest, _mm256_set1_ps(-0.5f), _CMP_LE_OQ));
    return _mm256_sub_ps(_mm256_add_ps(whole, up), down);
  }
}

struct GridVectors {
  __m256 scale, inverse, lo, hi, clip_lo, clip_hi;
};

template <int kRounding>
__m256 quantized(__m256 x, const GridVectors& v) {
  const __m256 code = round_codes<kRounding>(_mm256_mul_ps(limit(x, v.clip_lo, v.clip_hi), v.scale));
  // the product is exact, so that adding 0 only turns -0 into 0
  return _mm256_fmadd_ps(limit(code, v.lo, v.hi), v.inverse, _mm256_setzero_ps());
}

template <int kRounding>
void quantize_all(const float* x, float* y, std::int64_t n, const GridVectors& v, bool stream) {
  std::int64_t i = 0;
  if (stream) {
    for (; i + 8 <= n; i += 8) _mm256_stream_ps(y + i, quantized<kRounding>(_mm256_loadu_ps(x + i), v));
    _mm_sfence();
  } else {
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, quantized<kRounding>(_mm256_loadu_ps(x + i), v));
  }
  if (i < n) {
    const __m256i m = tail_mask(n - i);
    _mm256_maskstore_ps(y + i, m, quantized<kRounding>(_mm256_maskload_ps(x + i, m), v));
  }
}

void fake_quantize(const float* x, float* y, std::int64_t n, const Grid& grid, float clip_lo, float clip_hi,
                   bool stream) {
  const GridVectors v{_mm256_set1_ps(grid.scale), _mm256_set1_ps(grid.inverse), _mm256_set1_ps(grid.lo),
                      _mm256_set1_ps(grid.hi),    _mm256_set1_ps(clip_lo),      _mm256_set1_ps(clip_hi)};
  const bool streaming = stream && reinterpret_cast<std::uintptr_t>(y) % 64 == 0;
  if (grid.rounding == 0) return quantize_all<0>(x, y, n, v, streaming);
  if (grid.rounding == 1) return quantize_all<1>(x, y, n, v, streaming);
  quantize_all<2>(x, y, n, v, streaming);
}

void clip(const float* x, float* y, std::int64_t n, float lo, float hi) {
  const __m256 low = _mm256_set1_ps(lo), high = _mm256_set1_ps(hi);
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, limit(_mm256_loadu_ps(x + i), low, high));
  if (i < n) {
    const __m256i m = tail_mask(n - i);
    _mm256_maskstore_ps(y + i, m, limit(_mm256_maskload_ps(x + i, m), low, high));
  }
}

void add(const float* a, const float* b, float* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
  }
  if (i < n) {
    const __m256i m = tail_mask(n - i);
    _mm256_maskstore_ps(y + i, m, _mm256_add_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m)));
  }
}

void scale_shift(const float* x, const float* scale, const float* shift, float* y, std::int64_t pixels,
                 std::int64_t channels) {
  const std::int64_t whole = channels / 8 * 8;
  const __m256i m = tail_mask(channels - whole);
  for (std::int64_t p = 0; p < pixels; ++p, x += channels, y += channels) {
    for (std::int64_t c = 0; c < whole; c += 8) {
      const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(x + c), _mm256_loadu_ps(scale + c));
      _mm256_storeu_ps(y + c, _mm256_add_ps(product, _mm256_loadu_ps(shift + c)));
    }
    if (whole < channels) {
      const __m256 product = _mm256_mul_ps(_mm256_maskload_ps(x + whole, m), _mm256_maskload_ps(scale + whole, m));
      _mm256_maskstore_ps(y + whole, m, _mm256_add_ps(product, _mm256_maskload_ps(shift + whole, m)));
    }
  }
}

void max_taps(const float* const* taps, std::int64_t count, float* y, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; c += 8) {
    const __m256i m = tail_mask(channels - c);
    __m256 best = _mm256_maskload_ps(taps[0] + c, m);
    for (std::int64_t k = 1; k < count; ++k) best = _mm256_max_ps(_mm256_maskload_ps(taps[k] + c, m), best);
    _mm256_maskstore_ps(y + c, m, best);
  }
}

void mean_taps(const float* const* taps, std::int64_t count, float divisor, float* y, std::int64_t channels) {
  const __m256 d = _mm256_set1_ps(divisor);
  for (std::int64_t c = 0; c < channels; c += 8) {
    const __m256i m = tail_mask(channels - c);
    __m256 sum = _mm256_maskload_ps(taps[0] + c, m);
    for (std::int64_t k = 1; k < count; ++k) sum = _mm256_add_ps(sum, _mm256_maskload_ps(taps[k] + c, m));
    _mm256_maskstore_ps(y + c, m, _mm256_div_ps(sum, d));
  }
}

void column_sums(const float* x, std::int64_t pixels, std::int64_t stride, std::int64_t channels, double* sums) {
  std::int64_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    __m256d a = _mm256_loadu_pd(sums + c), b = _mm256_loadu_pd(sums + c + 4);
    for (std::int64_t p = 0; p < pixels; ++p) {
      const __m256 v = _mm256_loadu_ps(x + p * stride + c);
      a = _mm256_add_pd(a, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
      b = _mm256_add_pd(b, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
    }
    _mm256_storeu_pd(sums + c, a);
    _mm256_storeu_pd(sums + c + 4, b);
  }
  for (; c < channels; ++c) {
    double sum = sums[c];
    for (std::int64_t p = 0; p < pixels; ++p) sum += static_cast<double>(x[p * stride + c]);
    sums[c] = sum;
  }
}

}  // namespace

const ElementwiseKernels kElementwiseAvx2{clip, add, fake_quantize, scale_shift, max_taps, mean_taps, column_sums};

}  // namespace binade::simd
