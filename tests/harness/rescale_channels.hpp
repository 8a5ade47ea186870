// A hard case made by hand: the same function with channels of very different size.
#pragma once

#include <cstdint>

#include "core/graph/graph.hpp"

namespace binade::harness {

/// Multiplies the channels between two layers by random factors 2^u, u uniform in [-exponent, exponent), and divides
/// the weights after it by them, wherever nothing but a ReLU is in between and nothing else reads: outputs stay what
/// they are up to float rounding. Batch norms must be folded before. The number of pairs of layers goes to `pairs`.
Graph rescale_channels(const Graph& folded, double exponent, std::uint64_t seed, int& pairs);

}  // namespace binade::harness
