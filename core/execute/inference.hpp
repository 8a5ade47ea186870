// Inference: the batch in pieces, each through the whole network on one thread, in memory that stays in cache.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/base/memory.hpp"
#include "core/execute/executor.hpp"
#include "core/execute/fixed_values.hpp"
#include "core/execute/steps.hpp"
#include "core/ops/float_conv.hpp"

namespace binade {

template <class T>
class Inference {
 public:
  /// Keeps references to both.
  Inference(const Graph& graph, FixedValues<T>& fixed, int piece);

  /// The view is valid until the next call. With a tap every node is a step of its own, so that its result exists.
  View<const T> run(std::span<const View<const float>> inputs, const Tap<T>& tap);
  std::size_t bytes() const;

 private:
  /// Steps and where their results live.
  struct Plan {
    std::vector<Step> steps;
    std::vector<std::size_t> offsets;  // by value, in elements
    std::size_t elements = 0;
  };
  /// One thread's memory for a piece.
  struct Lane {
    Block<T> arena;
    std::vector<Tensor<T>> inputs;  // converted to T; unused for float
    std::vector<OpState> states;    // by node
    std::vector<View<const T>> views, in;
  };

  Plan make_plan(bool fuse) const;
  void pack();
  void run_piece(const Plan& plan, std::span<const View<const float>> inputs, int first, int images, const Tap<T>& tap);
  void load_inputs(Lane& lane, std::span<const View<const float>> inputs, int first, int images);
  void run_step(const Step& step, Lane& lane, View<T> out) const;
  void run_node(const Step& step, Lane& lane, View<T> out) const;
  View<const T> view(const Lane& lane, ValueId id) const;

  const Graph& graph_;
  FixedValues<T>& fixed_;
  int piece_;
  Plan fused_, separate_;
  std::vector<std::optional<FloatConv>> kernels_;  // by node; shared by all lanes
  std::uint64_t packed_version_ = 0;
  std::vector<Lane> lanes_;
  Tensor<T> output_;
};

}  // namespace binade
