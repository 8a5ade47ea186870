// The wide kernels with AVX2.
#include "core/integer/simd/wide_vector_avx2.hpp"
// The vector comes first.
#include "core/integer/simd/wide_depthwise.hpp"
#include "core/integer/simd/wide_gemm.hpp"
#include "core/integer/simd/wide_pair.hpp"

namespace binade::integer {
namespace {

/// Whole vectors; the surplus is overwritten by the next run or meets zero weights.
void gather(const Gather& g) {
  for (int p = 0; p < g.pixels; ++p) {
    std::uint8_t* row = g.rows + p * g.row_bytes;
    for (int r = 0; r < g.runs; ++r, row += g.run_bytes) {
      const std::uint8_t* from = g.from[r] + p * g.step;
      for (int i = 0; i < g.run_bytes; i += 32) Vector256::store(row + i, Vector256::load(from + i));
    }
  }
}

}  // namespace

const WideKernels wide_kernels_avx2{.lanes = Vector256::kLanes,
                                    .gemm = wide_gemm<Vector256>,
                                    .depthwise = wide_depthwise<Vector256>,
                                    .depthwise3x3 = wide_depthwise3x3<Vector256>,
                                    .widen = widen,
                                    .pair = wide_pair<Vector256>,
                                    .blend = blend,
                                    .max = wide_max,
                                    .sum = wide_sum};

const Kernels kernels_avx2{.gemm = nullptr,
                           .gather = gather,
                           .depthwise = nullptr,
                           .depthwise3x3 = nullptr,
                           .finish = nullptr,
                           .add = nullptr,
                           .rescale = nullptr,
                           .max = nullptr,
                           .sum = nullptr,
                           .wide = &wide_kernels_avx2};

}  // namespace binade::integer
