// The float kernels of batch norm with the clamp that may follow it, one table per instruction set.
#pragma once

#include <cstdint>

namespace binade::simd {

/// What one sweep reads. y = scale[c] * x + shift[c]; a gradient passes where lo < y < hi.
struct NormalizeSweep {
  const float* x;
  const float* dy;  ///< of the clamped result; forward sweeps do not read it
  const float *scale, *shift;
  float lo, hi;
  std::int64_t pixels, channels;
};

/// All kernels give the same bits on every instruction set. Sums run in float over a few pixels and in double over
/// those.
struct NormalizeKernels {
  /// y = min(max(scale * x + shift, lo), hi); y may be x
  void (*apply)(const NormalizeSweep& sweep, float* y);
  /// sums[c] += sum of (x - center[c])
  void (*sum)(const NormalizeSweep& sweep, const float* center, double* sums);
  /// sums[c] += sum of (x - center[c])^2
  void (*squares)(const NormalizeSweep& sweep, const float* center, double* sums);
  /// With g the gradient that passes: sums[c] += sum of g, sums[channels + c] += sum of g * (x - center[c])
  void (*gradient_sums)(const NormalizeSweep& sweep, const float* center, double* sums);
  /// dx = by_gradient[c] * g + (by_value[c] * x + constant[c]), added to dx with `add`
  void (*gradient)(const NormalizeSweep& sweep, const float* by_gradient, const float* by_value, const float* constant,
                   bool add, float* dx);
};

extern const NormalizeKernels normalize_portable;
extern const NormalizeKernels normalize_avx2;
extern const NormalizeKernels normalize_avx512;

/// The kernels for active_isa().
const NormalizeKernels& normalize();

}  // namespace binade::simd
