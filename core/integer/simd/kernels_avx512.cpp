// The kernels for AVX-512 with VNNI.
#include "core/integer/simd/depthwise_avx512.hpp"
#include "core/integer/simd/elementwise_avx512.hpp"
#include "core/integer/simd/gather_avx512.hpp"
#include "core/integer/simd/gemm_avx512.hpp"
#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {

const Kernels kernels_avx512{.gemm = gemm,
                             .gather = gather,
                             .depthwise = depthwise,
                             .depthwise3x3 = depthwise3x3,
                             .finish = finish_row,
                             .add = add,
                             .rescale = rescale,
                             .max = max,
                             .sum = sum,
                             .wide = &wide_kernels_avx512};

}  // namespace binade::integer
