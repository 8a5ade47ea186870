// Which channels of a network can be scaled together without changing what it computes, and the scaling itself.
#pragma once

#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Every channel of every value belongs to a scale: an index, or kFixed where the channel must stay as it is. Channels
/// share a scale when the ops between them only commute with a common positive factor.
class ChannelScales {
 public:
  static constexpr int kFixed = -1;

  /// Ties follow from the ops: weighted nodes cut, positively homogeneous ones (ReLU, PReLU, pools, resizes, Mul by
  /// constants), Add, Concat, Slice, Pad and flattening tie, everything else fixes its inputs and its result. A Clip
  /// from 0 ties, and its upper limit follows the scale (see scaled()). The graph's inputs and output are fixed.
  explicit ChannelScales(const Graph& graph);

  int count() const { return count_; }
  /// The scale of channel `c` of a value; kFixed for parameters.
  int of(ValueId id, int c) const { return scale_[index_of(id)][static_cast<std::size_t>(c)]; }
  const std::vector<int>& of(ValueId id) const { return scale_[index_of(id)]; }

 private:
  std::vector<std::vector<int>> scale_;  // by value, by channel
  int count_ = 0;
};

/// The input channel that column `column` of output row `row` reads.
int input_channel(const Graph& graph, const Node& node, int row, int column);

/// The network with channel x of every value multiplied by factors[scale of x]: weights become w s_out / s_in, biases
/// and added parameters b s_out. A Clip gets the upper limit `clip_limits[node]`.
Graph scaled(const Graph& graph, const ChannelScales& scales, const std::vector<double>& factors,
             const std::vector<double>& clip_limits);

}  // namespace binade
