// Walks through a graph from front to back over all calibration images, without running the front again and again.
#pragma once

#include <span>
#include <vector>

#include "core/execute/executor.hpp"
#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"

namespace binade {

/// Keeps, for every image, the values that cross a cut of the graph. What lies after the cut may be changed and run
/// from there. Cuts move forward only, and only to places where few bytes cross.
class GraphWalk {
 public:
  /// Over the first `count` images.
  GraphWalk(Graph graph, ImageSource& images, int count);

  const Graph& graph() const { return graph_; }
  /// Writable, for parameters that only nodes after the cut read.
  Tensor<float>& tensor(ValueId id) { return graph_.tensor(id); }
  int images() const { return count_; }

  /// Moves the cut to the last good place before node `node`.
  void advance_before(int node);

  /// Runs the nodes that `targets` need, from the cut. The tap sees the ids of graph(); see Executor for threads.
  void run(std::span<const ValueId> targets, const Tap<float>& tap) const;

 private:
  struct Cut {
    std::vector<ValueId> values;
    std::int64_t bytes = 0;  // per image
  };
  Cut cut_before(int node) const;

  Graph graph_;
  int count_;
  int position_ = 0;
  std::int64_t affordable_ = 0;
  std::vector<ValueId> values_;         // that cross the cut
  std::vector<Tensor<float>> tensors_;  // theirs, of all images
};

}  // namespace binade
