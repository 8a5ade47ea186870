// Batch norm's sweeps for any CPU.
#include "core/ops/simd/normalize_body.hpp"
#include "core/ops/simd/vector_portable.hpp"

namespace binade::simd {

const NormalizeKernels normalize_portable = kNormalize<Vector128>;

}  // namespace binade::simd
