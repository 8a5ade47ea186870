// What noise on each channel does to the network's output, estimated from weights and statistics: no gradients.
#pragma once

#include "calibration/noise_model.hpp"

namespace binade {

/// A Sensitivity: energies go from the output backwards through squared weights, as independent noise does forwards:
/// what a channel reads of another adds up in squares, and an activation function lets through the share of elements
/// that it does not cut. Signs and correlations are neglected.
/// @math E_in[c] = sum_o E_out[o] * sum_taps w[o, c, tap]^2
std::vector<std::vector<double>> propagate_energy(const Graph& graph, std::span<const ValueId> values,
                                                  const NoiseTables& seen);

}  // namespace binade
