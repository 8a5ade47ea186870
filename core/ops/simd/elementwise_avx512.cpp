// Elementwise float kernels in AVX-512. Tails are masked; minima and maxima are ordered so that a NaN stays.
#include <immintrin.h>

#include "core/ops/simd/elementwise_kernels.hpp"

namespace binade::simd {
namespace {

__mmask16 tail_mask(std::int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << n) - 1);
}

// max and min return their second operand when the two are equal or one is NaN
__m512 limit(__m512 x, __m512 lo, __m512 hi) {
  return _mm512_min_ps(hi, _mm512_max_ps(lo, x));
}

/// As round_real: truncate, look at the exact rest, step away from zero. -0 is removed by the caller.
template <int kRounding>
__m512 round_codes(__m512 x) {
  if constexpr (kRounding == 2) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  } else if constexpr (kRounding == 0) {
    // floor(x + 1/2) without the sum's rounding: the rest of x just below zero rounds to 1/2 only from above 1/2
    const __m512 floor = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __mmask16 up = _mm512_cmp_ps_mask(_mm512_sub_ps(x, floor), _mm512_set1_ps(0.5f), _CMP_GE_OQ);
    return _mm512_mask_add_ps(floor, up, floor, _mm512_set1_ps(1));
  } else {
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(x, whole);
    const __mmask16 up = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(0.5f), _CMP_GE_OQ);
    const __mmask16 down = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(-0.5f), _CMP_LE_OQ);
    return _mm512_mask_add_ps(_mm512_mask_add_ps(whole, up, whole, _mm512_set1_ps(1)), down, whole, _mm512_set1_ps(-1));
  }
}

struct GridVectors {
  __m512 scale, inverse, lo, hi, clip_lo, clip_hi;
};

template <int kRounding>
__m512 quantized(__m512 x, const GridVectors& v) {
  const __m512 code = round_codes<kRounding>(_mm512_mul_ps(limit(x, v.clip_lo, v.clip_hi), v.scale));
  // the product is exact, so that adding 0 only turns -0 into 0
  return _mm512_fmadd_ps(limit(code, v.lo, v.hi), v.inverse, _mm512_setzero_ps());
}

template <int kRounding>
void quantize_all(const float* x, float* y, std::int64_t n, const GridVectors& v, bool stream) {
  std::int64_t i = 0;
  if (stream) {
    for (; i + 16 <= n; i += 16) _mm512_stream_ps(y + i, quantized<kRounding>(_mm512_loadu_ps(x + i), v));
    _mm_sfence();
  } else {
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, quantized<kRounding>(_mm512_loadu_ps(x + i), v));
  }
  if (i < n) {
    const __mmask16 m = tail_mask(n - i);
    _mm512_mask_storeu_ps(y + i, m, quantized<kRounding>(_mm512_maskz_loadu_ps(m, x + i), v));
  }
}

void fake_quantize(const float* x, float* y, std::int64_t n, const Grid& grid, float clip_lo, float clip_hi,
                   bool stream) {
  const GridVectors v{_mm512_set1_ps(grid.scale), _mm512_set1_ps(grid.inverse), _mm512_set1_ps(grid.lo),
                      _mm512_set1_ps(grid.hi),    _mm512_set1_ps(clip_lo),      _mm512_set1_ps(clip_hi)};
  const bool streaming = stream && reinterpret_cast<std::uintptr_t>(y) % 64 == 0;
  if (grid.rounding == 0) return quantize_all<0>(x, y, n, v, streaming);
  if (grid.rounding == 1) return quantize_all<1>(x, y, n, v, streaming);
  quantize_all<2>(x, y, n, v, streaming);
}

void clip(const float* x, float* y, std::int64_t n, float lo, float hi) {
  const __m512 low = _mm512_set1_ps(lo), high = _mm512_set1_ps(hi);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, limit(_mm512_loadu_ps(x + i), low, high));
  if (i < n) {
    const __mmask16 m = tail_mask(n - i);
    _mm512_mask_storeu_ps(y + i, m, limit(_mm512_maskz_loadu_ps(m, x + i), low, high));
  }
}

void add(const float* a, const float* b, float* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm512_storeu_ps(y + i, _mm512_add_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i)));
  }
  if (i < n) {
    const __mmask16 m = tail_mask(n - i);
    _mm512_mask_storeu_ps(y + i, m, _mm512_add_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i)));
  }
}

void scale_shift(const float* x, const float* scale, const float* shift, float* y, std::int64_t pixels,
                 std::int64_t channels) {
  for (std::int64_t p = 0; p < pixels; ++p, x += channels, y += channels) {
    for (std::int64_t c = 0; c < channels; c += 16) {
      const __mmask16 m = tail_mask(channels - c);
      const __m512 product = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + c), _mm512_maskz_loadu_ps(m, scale + c));
      _mm512_mask_storeu_ps(y + c, m, _mm512_add_ps(product, _mm512_maskz_loadu_ps(m, shift + c)));
    }
  }
}

void max_taps(const float* const* taps, std::int64_t count, float* y, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; c += 16) {
    const __mmask16 m = tail_mask(channels - c);
    __m512 best = _mm512_maskz_loadu_ps(m, taps[0] + c);
    for (std::int64_t k = 1; k < count; ++k) best = _mm512_max_ps(_mm512_maskz_loadu_ps(m, taps[k] + c), best);
    _mm512_mask_storeu_ps(y + c, m, best);
  }
}

void mean_taps(const float* const* taps, std::int64_t count, float divisor, float* y, std::int64_t channels) {
  const __m512 d = _mm512_set1_ps(divisor);
  for (std::int64_t c = 0; c < channels; c += 16) {
    const __mmask16 m = tail_mask(channels - c);
    __m512 sum = _mm512_maskz_loadu_ps(m, taps[0] + c);
    for (std::int64_t k = 1; k < count; ++k) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(m, taps[k] + c));
    _mm512_mask_storeu_ps(y + c, m, _mm512_div_ps(sum, d));
  }
}

void column_sums(const float* x, std::int64_t pixels, std::int64_t stride, std::int64_t channels, double* sums) {
  for (std::int64_t c = 0; c < channels; c += 16) {
    const __mmask16 m = tail_mask(channels - c);
    const __mmask8 low = static_cast<__mmask8>(m), high = static_cast<__mmask8>(m >> 8);
    __m512d a = _mm512_maskz_loadu_pd(low, sums + c), b = _mm512_maskz_loadu_pd(high, sums + c + 8);
    for (std::int64_t p = 0; p < pixels; ++p) {
      const __m512 v = _mm512_maskz_loadu_ps(m, x + p * stride + c);
      a = _mm512_add_pd(a, _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
      b = _mm512_add_pd(b, _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
    }
    _mm512_mask_storeu_pd(sums + c, low, a);
    _mm512_mask_storeu_pd(sums + c + 8, high, b);
  }
}

}  // namespace

const ElementwiseKernels kElementwiseAvx512{clip, add, fake_quantize, scale_shift, max_taps, mean_taps, column_sums};

}  // namespace binade::simd
