// The 1x1 kernel for AVX-512.
#include "core/ops/simd/pointwise_body.hpp"
#include "core/ops/simd/vector_avx512.hpp"

namespace binade::simd {

const PointwiseKernels pointwise_avx512{Vector512::width, run<Vector512>, sweep<Vector512>};

}  // namespace binade::simd
