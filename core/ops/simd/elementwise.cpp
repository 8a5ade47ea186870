// The portable elementwise kernels, which define every bit of the others, and the choice between them.
#include "core/ops/simd/elementwise.hpp"

#include <cmath>

namespace binade::simd {
namespace {

float limited(float x, float lo, float hi) {
  const float y = lo > x ? lo : x;
  return hi < y ? hi : y;
}

void clip_portable(const float* x, float* y, std::int64_t n, float lo, float hi) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = limited(x[i], lo, hi);
}

void add_portable(const float* a, const float* b, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

void fake_quantize_portable(const float* x, float* y, std::int64_t n, const Grid& grid, float clip_lo, float clip_hi,
                            bool) {
  const Rounding rounding = static_cast<Rounding>(grid.rounding);
  for (std::int64_t i = 0; i < n; ++i) {
    const float code = round_real(limited(x[i], clip_lo, clip_hi) * grid.scale, rounding);
    y[i] = limited(code, grid.lo, grid.hi) * grid.inverse;
  }
}

void scale_shift_portable(const float* x, const float* scale, const float* shift, float* y, std::int64_t pixels,
                          std::int64_t channels) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
  }
}

void max_taps_portable(const float* const* taps, std::int64_t count, float* y, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) y[c] = taps[0][c];
  for (std::int64_t k = 1; k < count; ++k) {
    for (std::int64_t c = 0; c < channels; ++c) y[c] = taps[k][c] > y[c] ? taps[k][c] : y[c];
  }
}

void mean_taps_portable(const float* const* taps, std::int64_t count, float divisor, float* y, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) y[c] = taps[0][c];
  for (std::int64_t k = 1; k < count; ++k) {
    for (std::int64_t c = 0; c < channels; ++c) y[c] += taps[k][c];
  }
  for (std::int64_t c = 0; c < channels; ++c) y[c] /= divisor;
}

void column_sums_portable(const float* x, std::int64_t pixels, std::int64_t stride, std::int64_t channels,
                          double* sums) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) sums[c] += static_cast<double>(x[p * stride + c]);
  }
}

}  // namespace

const ElementwiseKernels kElementwisePortable{clip_portable,        add_portable,      fake_quantize_portable,
                                              scale_shift_portable, max_taps_portable, mean_taps_portable,
                                              column_sums_portable};

const ElementwiseKernels& elementwise(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return kElementwiseAvx512;
  if (isa == Isa::avx2) return kElementwiseAvx2;
#endif
  static_cast<void>(isa);
  return kElementwisePortable;
}

const ElementwiseKernels& elementwise() {
  static const ElementwiseKernels& kernels = elementwise(active_isa());
  return kernels;
}

Grid grid_of(QuantSpec spec, Rounding rounding) {
  require(is_fast(spec), "grid_of: no float kernel for this grid");
  return {std::ldexp(1.0f, spec.frac), std::ldexp(1.0f, -spec.frac), static_cast<float>(spec.min_code()),
          static_cast<float>(spec.max_code()), static_cast<int>(rounding)};
}

void fake_quantize(const float* x, float* y, std::int64_t n, QuantSpec spec, Rounding rounding, bool stream) {
  constexpr float kNoLimit = std::numeric_limits<float>::infinity();
  if (is_fast(spec)) {
    elementwise().fake_quantize(x, y, n, grid_of(spec, rounding), -kNoLimit, kNoLimit, stream);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = binade::fake_quantize(x[i], spec, rounding);
  }
}

void clip_fake_quantize(const float* x, float* y, std::int64_t n, float lo, float hi, QuantSpec spec,
                        Rounding rounding) {
  if (is_fast(spec)) {
    elementwise().fake_quantize(x, y, n, grid_of(spec, rounding), lo, hi, false);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = binade::fake_quantize(limited(x[i], lo, hi), spec, rounding);
  }
}

}  // namespace binade::simd
