// What a network holds and costs: trainable parameters and multiply-accumulates.
#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// The parameters that training changes by gradient: all but the running statistics of batch normalisation and
/// constants, whose name ends in ".constant".
std::vector<ValueId> trainable_parameters(const Graph& graph);

/// Elements of the trainable parameters: what papers and torchvision call "parameters".
std::int64_t count_parameters(const Graph& graph);

/// The same with the running statistics: what Keras calls "parameters".
std::int64_t count_with_statistics(const Graph& graph);

/// Multiply-accumulates for one image of a Conv2d, ConvTranspose2d or Linear, padding included; 0 for any other op.
std::int64_t count_macs(const Graph& graph, const Node& node);

struct Macs {
  std::int64_t convolutions = 0;  ///< Conv2d and ConvTranspose2d: what TI's tables count
  std::int64_t linear = 0;
  std::int64_t total() const { return convolutions + linear; }
};

Macs count_macs(const Graph& graph);

}  // namespace binade
