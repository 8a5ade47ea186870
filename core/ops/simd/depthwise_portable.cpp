// The depthwise kernels for any CPU.
#include "core/ops/simd/depthwise_body.hpp"
#include "core/ops/simd/vector_portable.hpp"

namespace binade::simd {

const DepthwiseKernels depthwise_portable{forward<Vector128>, backward_data<Vector128>, backward_weights<Vector128>};

}  // namespace binade::simd
