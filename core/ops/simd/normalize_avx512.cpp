// Batch norm's sweeps for AVX-512.
#include "core/ops/simd/normalize_body.hpp"
#include "core/ops/simd/vector_avx512.hpp"

namespace binade::simd {

const NormalizeKernels normalize_avx512 = kNormalize<Vector512>;

}  // namespace binade::simd
