// The losses of a batch that is seen in pieces: what each image counts, what the pieces add up to.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Whether a value is what CrossEntropy or Distillation makes: it has no batch extent.
bool is_loss(const Graph& graph, ValueId id);

/// A loss is a mean over everything that counts in the batch; a piece's loss is a mean over its own part.
class BatchLosses {
 public:
  /// Whether the output is a loss whose labels come from an input, and losses are read by losses alone.
  static bool applies(const Graph& graph);

  /// Keeps a reference. @pre applies(graph)
  explicit BatchLosses(const Graph& graph);

  /// Counts the labels of every image. @shape inputs: one view per graph input
  void count(std::span<const View<const float>> inputs);
  /// The values of the losses, in the order of their nodes.
  const std::vector<ValueId>& values() const { return values_; }
  /// What images [first, first + images) contribute to the loss of the batch. `of_piece`: the losses' values there;
  /// `weights` receives the gradients with which backward begins, in the order of values().
  double part(int first, int images, std::span<const double> of_piece, std::span<double> weights) const;

 private:
  const Graph& graph_;
  std::vector<ValueId> values_;
  std::vector<int> inner_;                    ///< which of them each adds to its own; or -1
  std::vector<std::vector<double>> counted_;  ///< by loss and image: what its mean counts
  std::vector<double> totals_;
};

}  // namespace binade
