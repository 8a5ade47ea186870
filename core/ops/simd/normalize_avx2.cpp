// Batch norm's sweeps for AVX2.
#include "core/ops/simd/normalize_body.hpp"
#include "core/ops/simd/vector_avx2.hpp"

namespace binade::simd {

const NormalizeKernels normalize_avx2 = kNormalize<Vector256>;

}  // namespace binade::simd
