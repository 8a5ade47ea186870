// The depthwise kernels for AVX2.
#include "core/ops/simd/depthwise_body.hpp"
#include "core/ops/simd/vector_avx2.hpp"

namespace binade::simd {

const DepthwiseKernels depthwise_avx2{forward<Vector256>, backward_data<Vector256>, backward_weights<Vector256>};

}  // namespace binade::simd
