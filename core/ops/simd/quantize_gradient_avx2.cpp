// Backward of the quantizers for AVX2.
#include "core/ops/simd/quantize_gradient_body.hpp"
#include "core/ops/simd/vector_avx2.hpp"

namespace binade::simd {

const QuantizeGradientKernel quantize_gradient_avx2 = quantize_gradient_with<Vector256>;

}  // namespace binade::simd
