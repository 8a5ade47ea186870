// Backward of a clamp and a quantizer in one sweep, one kernel per instruction set.
#pragma once

#include <cstdint>

namespace binade::simd {

/// What one sweep reads and writes: y is the quantized c = min(max(x, clamp_lo), clamp_hi).
struct QuantizeGradient {
  const float *x, *y, *dy;
  float* dx;  ///< may be dy; null: not wanted
  bool add;   ///< to dx, instead of writing it
  /// A gradient passes where clamp_lo < x < clamp_hi and lo < x < hi. Infinite limits let all pass.
  float clamp_lo, clamp_hi, lo, hi;
  std::int64_t n;
};

/// With `with_sum` returns the sum of dy * (y - c) where lo < c < hi and of dy * y elsewhere, else 0. It runs in float
/// over 32 elements of each of 16 lanes and in double over those: the same bits on every instruction set.
using QuantizeGradientKernel = double (*)(const QuantizeGradient& sweep, bool with_sum);

extern const QuantizeGradientKernel quantize_gradient_portable;
extern const QuantizeGradientKernel quantize_gradient_avx2;
extern const QuantizeGradientKernel quantize_gradient_avx512;

/// The kernel for active_isa().
QuantizeGradientKernel quantize_gradient();

}  // namespace binade::simd
