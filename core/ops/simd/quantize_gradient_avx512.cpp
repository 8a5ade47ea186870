// Backward of the quantizers for AVX-512.
#include "core/ops/simd/quantize_gradient_body.hpp"
#include "core/ops/simd/vector_avx512.hpp"

namespace binade::simd {

const QuantizeGradientKernel quantize_gradient_avx512 = quantize_gradient_with<Vector512>;

}  // namespace binade::simd
