// What an inference run does, step by step: nodes, with the elementwise nodes that follow them done on the way.
#pragma once

#include <vector>

#include "core/graph/graph.hpp"
#include "core/ops/simd/epilogue.hpp"

namespace binade {

/// A node, its `head`, and perhaps some after it, of which only the last one's result, `out`, is stored.
struct Step {
  enum class Kind : std::uint8_t {
    node,         ///< the op's own forward; nothing after it
    convolution,  ///< Conv2d or Linear with constant weights, then the epilogue
    sweep,        ///< elementwise from start to end: the epilogue applied to `in`
  };
  Kind kind = Kind::node;
  int head = 0;
  ValueId in{-1};        ///< of a sweep
  ValueId residual{-1};  ///< what the epilogue adds, if anything
  ValueId out{-1};
  simd::Epilogue epilogue;  ///< its residual pointer is set by each run
};

/// The steps of `graph` in float, in an order in which everything is there when it is read. `is_constant` says which
/// values do not depend on the input; their nodes have no step. With `fuse`, chains of the form convolution (or
/// nothing), FakeQuant, Add, Relu or Clip, FakeQuant become one step each wherever nothing else reads what is between.
std::vector<Step> plan_steps(const Graph& graph, const std::vector<bool>& is_constant, bool fuse);

/// One step per node that is not constant, as the ops do it themselves.
std::vector<Step> plain_steps(const Graph& graph, const std::vector<bool>& is_constant);

}  // namespace binade
