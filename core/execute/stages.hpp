// How batch statistics cut a network in training into stages, and what has to be kept between them.
#pragma once

#include <cstddef>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Values behind a batch norm on batch statistics belong to a later stage than its input. A node is run in the stage of
/// its result.
struct Stages {
  int count = 1;
  std::vector<int> of_value;             ///< 0 for inputs, parameters and constants
  std::vector<int> of_node;              ///< -1: a constant, or nothing that leads to the output
  std::vector<bool> is_norm;             ///< by node: a batch norm on batch statistics
  std::vector<bool> is_normalized;       ///< by value: what such a norm, with the clamp behind it, writes
  std::vector<bool> is_kept;             ///< by value: for the whole batch
  std::vector<bool> has_batch_gradient;  ///< by value: its gradient is kept for the whole batch until its stage's turn
  std::vector<int> last_reader;          ///< by value: the latest stage where a node other than a norm reads it; or -1
  std::vector<bool> is_made_again;       ///< by node: on the way back, because its result is not kept
};

Stages stages_of(const Graph& graph, const std::vector<bool>& is_constant);

/// By value: parameters and constants that nodes of images read, where `reaches` says that gradients are needed; not
/// what a norm on batch statistics learns, whose gradient comes from sums of its own.
std::vector<bool> read_by_images(const Graph& graph, const Stages& stages, const std::vector<bool>& is_constant,
                                 const std::vector<bool>& reaches);

/// By stage: the values with memory for the whole batch that its nodes read or write.
std::vector<std::vector<std::size_t>> touched_values(const Graph& graph, const Stages& stages);

/// Whether batch norm `node` normalises by the statistics of the batch.
bool is_batch_norm_on_batch(const Node& node);

/// The Relu or Clip that is done with batch norm `node` because nothing else reads what is between; -1 without one.
int clamp_behind_norm(const Graph& graph, std::size_t node);

}  // namespace binade
