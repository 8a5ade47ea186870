// The loss as the last node of the graph that is trained.
#pragma once

#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

struct LossOptions {
  double label_smoothing = 0;
  /// Pixels with this label do not count; -1: none (a classification network has a class 255).
  int ignore_label = -1;
  /// What a pixel counts for, by the class of its label; empty: all the same. @shape classes
  std::vector<float> class_weights;
  bool labels = true;       ///< cross entropy with the labels
  double distillation = 0;  ///< weight of the divergence from a teacher's softmax; 0: no teacher
  double temperature = 1;   ///< of that softmax
};

/// Where a network's logits are: its output, or if that is a Softmax what it reads. Quantizers after the Softmax are
/// looked through.
ValueId logits_of(const Graph& network);

/// The network with the loss as its output. Its further inputs are "labels" and "teacher" (logits), in that order, as
/// far as the options want them. Ids of the network's values stay what they are.
/// @throws UsageError if neither labels nor teacher are wanted
Graph with_loss(const Graph& network, const LossOptions& options);

}  // namespace binade
