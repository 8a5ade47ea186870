// Batch norms with the statistics of real data, for networks whose own were lost in folding.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Gives the named BatchNorm nodes the mean and variance that their inputs have on `images`, and changes gamma and beta
/// so that in inference the network computes what it did before, up to float rounding. Then training by batch
/// statistics begins at the same function, too: an identity with mean 0 and variance 1 would be normalised away.
/// @math gamma' = gamma sqrt((s^2 + e) / (v + e)), beta' = beta + gamma (m' - m) / sqrt(v + e), for mean m, variance v
/// before, m', s^2 measured over images and pixels
/// @shape images {n, h, w, c} as the graph's input
Graph measure_batch_norm(const Graph& graph, std::span<const std::string> norms, View<const float> images);

/// The names of the BatchNorm nodes that hold no statistics: every channel has mean 0 and, up to epsilon, gamma 1 and
/// variance 1, as where weights of a folded network were loaded.
std::vector<std::string> identity_batch_norms(const Graph& graph);

}  // namespace binade
