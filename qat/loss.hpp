// The loss as the last node of the graph that is trained.
#pragma once

#include "core/graph/graph.hpp"

namespace binade {

struct LossOptions {
  double label_smoothing = 0;
  /// Pixels with this label do not count; -1: none (a classification network has a class 255).
  int ignore_label = -1;
};

/// The network with an input "labels" and the mean cross entropy "loss" as its output. Ids of the network's values stay
/// what they are. If the network ends in a Softmax the loss reads the logits before it.
Graph with_loss(const Graph& network, const LossOptions& options);

}  // namespace binade
