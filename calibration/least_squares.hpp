// Rounding the weights of one linear map so that its output, not its weights, comes out right.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/fixed_point.hpp"

namespace binade {

/// Second moments of one group of a layer: inputs x (as the quantized network sees them), wanted outputs y (float).
struct LayerMoments {
  std::int64_t columns = 0, rows = 0;  ///< inputs, outputs
  std::vector<double> covariance;      ///< columns x columns: cov(x, x)
  std::vector<double> cross;           ///< columns x rows: cov(x, y)
  double samples = 0;                  ///< pairs (x, y) that they were taken over
  std::vector<double> mean_x, mean_y;
};

/// Those of both sets of samples together.
LayerMoments joined(const LayerMoments& a, const LayerMoments& b);

/// The ridge with which weights found on one of two halves predict best on the other, both ways.
double best_ridge(const LayerMoments& first, const LayerMoments& second, const float* weights);

struct RoundingOptions {
  double ridge = 3;       ///< pulls the least-squares weights to the given ones; in units of the mean input variance
  double damping = 0.01;  ///< added to the diagonal for the error feedback, same units
};

/// Replaces `weights` (rows x columns) by weights on the grid `spec`. First the least-squares solution for cov(x, y)
/// near the given weights, which makes up for the noise that x already carries; then rounding column by column, where
/// each column takes over the error that the columns before it left at the output. At last each weight moves to the
/// code that is best with all others as they are, until none moves.
/// @math min tr((W - Q) H (W - Q)^T), H = U D U^T, q_j = round(w_j + sum_{k<j} (w_k - q_k) u_kj)
/// @source LDLQ (Chee et al. 2023), the closed form of GPTQ (Frantar et al. 2023)
void round_to_grid(const LayerMoments& moments, const RoundingOptions& options, QuantSpec spec, Rounding rounding,
                   float* weights);

}  // namespace binade
