// Softmax for AVX2.
#include "core/ops/simd/softmax_body.hpp"
#include "core/ops/simd/vector_avx2.hpp"

namespace binade::simd {

const SoftmaxKernel softmax_avx2 = softmax_with<Vector256>;

}  // namespace binade::simd
