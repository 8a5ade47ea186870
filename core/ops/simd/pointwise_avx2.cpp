// The 1x1 kernel for AVX2.
#include "core/ops/simd/pointwise_body.hpp"
#include "core/ops/simd/vector_avx2.hpp"

namespace binade::simd {

const PointwiseKernels pointwise_avx2{Vector256::width, run<Vector256>, sweep<Vector256>};

}  // namespace binade::simd
