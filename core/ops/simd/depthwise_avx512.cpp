// The depthwise kernels for AVX-512.
#include "core/ops/simd/depthwise_body.hpp"
#include "core/ops/simd/vector_avx512.hpp"

namespace binade::simd {

const DepthwiseKernels depthwise_avx512{forward<Vector512>, backward_data<Vector512>, backward_weights<Vector512>};

}  // namespace binade::simd
