// Softmax for any CPU.
#include "core/ops/simd/softmax_body.hpp"
#include "core/ops/simd/vector_portable.hpp"

namespace binade::simd {

const SoftmaxKernel softmax_portable = softmax_with<Vector128>;

}  // namespace binade::simd
