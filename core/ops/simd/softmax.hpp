// Softmax of rows of floats, one kernel per instruction set.
#pragma once

#include <cstdint>

namespace binade::simd {

/// Rows of c numbers, one after the other.
struct SoftmaxRows {
  const float* x;
  float* probabilities;  ///< exp(factor * x - log_sum), as x; null: not wanted
  float* log_sums;       ///< log(sum(exp(factor * x))), one per row; null: not wanted
  std::int64_t rows, c;
  float factor;
};

/// Probabilities are right to 2^-24 * (8 + the range of the row's logits), relatively, as float differences are; those
/// below exp(-87) of the row's largest are taken for that much. What is not finite makes its row's results not finite.
using SoftmaxKernel = void (*)(const SoftmaxRows& rows);

extern const SoftmaxKernel softmax_portable;
extern const SoftmaxKernel softmax_avx2;
extern const SoftmaxKernel softmax_avx512;

/// The kernel for active_isa().
SoftmaxKernel softmax();

}  // namespace binade::simd
