// The wide kernels with AVX-512 VNNI.
#include "core/integer/simd/wide_vector_avx512.hpp"
// The vector comes first.
#include "core/integer/simd/wide_depthwise.hpp"
#include "core/integer/simd/wide_gemm.hpp"
#include "core/integer/simd/wide_pair.hpp"

namespace binade::integer {

const WideKernels wide_kernels_avx512{.lanes = Vector512::kLanes,
                                      .gemm = wide_gemm<Vector512>,
                                      .depthwise = wide_depthwise<Vector512>,
                                      .depthwise3x3 = wide_depthwise3x3<Vector512>,
                                      .widen = widen,
                                      .pair = wide_pair<Vector512>,
                                      .blend = blend,
                                      .max = wide_max,
                                      .sum = wide_sum};

}  // namespace binade::integer
