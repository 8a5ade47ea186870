// Raw elementwise float kernels on the processor's widest instruction set, for ops and for fused sweeps.
#pragma once

#include <cstdint>
#include <limits>

#include "core/base/cpu.hpp"
#include "core/base/fixed_point.hpp"
#include "core/ops/simd/elementwise_kernels.hpp"

namespace binade::simd {

/// The kernels for an instruction set that this processor has.
const ElementwiseKernels& elementwise(Isa isa);
/// The kernels for active_isa().
const ElementwiseKernels& elementwise();

/// Whether the float kernels are exact on the grid: at most 24 bits, and a scale whose reciprocal is a normal float.
constexpr bool is_fast(QuantSpec spec) {
  return spec.bits <= 24 && spec.frac >= -100 && spec.frac <= 120;
}

/// @pre is_fast(spec)
Grid grid_of(QuantSpec spec, Rounding rounding);

/// y = min(max(x, lo), hi); y may be x.
inline void clip(const float* x, float* y, std::int64_t n, float lo, float hi) {
  elementwise().clip(x, y, n, lo, hi);
}

/// y = x on the grid, bit for bit binade::fake_quantize; y may be x; any spec. `stream`: see ElementwiseKernels.
void fake_quantize(const float* x, float* y, std::int64_t n, QuantSpec spec, Rounding rounding, bool stream = false);

/// fake_quantize of clip in one sweep; y may be x.
void clip_fake_quantize(const float* x, float* y, std::int64_t n, float lo, float hi, QuantSpec spec,
                        Rounding rounding);

}  // namespace binade::simd
