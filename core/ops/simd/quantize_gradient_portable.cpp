// Backward of the quantizers for any CPU.
#include "core/ops/simd/quantize_gradient_body.hpp"
#include "core/ops/simd/vector_portable.hpp"

namespace binade::simd {

const QuantizeGradientKernel quantize_gradient_portable = quantize_gradient_with<Vector128>;

}  // namespace binade::simd
