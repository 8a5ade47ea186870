// The 1x1 kernel for any CPU.
#include "core/ops/simd/pointwise_body.hpp"
#include "core/ops/simd/vector_portable.hpp"

namespace binade::simd {

const PointwiseKernels pointwise_portable{Vector128::width, run<Vector128>, sweep<Vector128>};

}  // namespace binade::simd
