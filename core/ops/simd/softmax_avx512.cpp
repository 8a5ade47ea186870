// Softmax for AVX-512.
#include "core/ops/simd/softmax_body.hpp"
#include "core/ops/simd/vector_avx512.hpp"

namespace binade::simd {

const SoftmaxKernel softmax_avx512 = softmax_with<Vector512>;

}  // namespace binade::simd
