// A part of a graph in training: its nodes one after the other on a whole batch, every value kept for backward.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/base/memory.hpp"
#include "core/execute/fixed_values.hpp"
#include "core/execute/node_times.hpp"
#include "core/graph/graph.hpp"
#include "core/ops/batch_norm.hpp"

namespace binade {

/// Sees the values as they are made. `first_image` is the position in the batch of the view's first image.
/// In inference, and in training that goes image by image, it is called from several threads at once, each with other
/// images; a tap keeps what it learns in slots of its own per image, or in quantities whose merge does not depend on
/// order.
template <class T>
using Tap = std::function<void(ValueId, View<const T>, int first_image)>;

/// Which part of a graph a pass is about, and what of it the caller looks after. Empty means none.
struct TrainingPart {
  std::vector<bool> nodes;    ///< by node: it is run
  std::vector<bool> reaches;  ///< by value: the gradient is needed on the way to a wanted one
  std::vector<bool> outside;  ///< by value: the caller keeps the gradient
  std::vector<bool> begun;    ///< by value: something was added to the gradient before the pass
  std::vector<bool> placed;   ///< by value: the caller says where it is, with place()
  std::vector<bool> again;    ///< by node: refresh() runs it
  /// Batch norms are given their statistics, and the caller does their backward pass.
  bool given_statistics = false;
};

/// The values whose gradient is needed on the way to those of the wanted ones. @shape by value
std::vector<bool> gradients_on_the_way(const Graph& graph, const std::vector<bool>& wanted);

template <class T>
class TrainingPass {
 public:
  /// Keeps references to graph and values.
  TrainingPass(const Graph& graph, FixedValues<T>& fixed, TrainingPart part);

  struct Options {
    int batch = 1;
    /// Batch norm with the clamp after it, and clamps with the quantizer after them, in one sweep each way: the same
    /// bits, and what is between is not kept.
    bool fuse = true;
    bool own_memory = true;  ///< false: bind() follows
    bool timed = false;      ///< keep times()
  };
  /// Lays out memory for a batch; nothing if that is done already.
  void plan(const Options& options);
  /// How many elements of memory a pass needs.
  struct Memory {
    std::size_t values = 0, gradients = 0;
  };
  const Memory& memory() const { return memory_; }
  /// Works there from now on, instead of in memory of its own. @pre plan
  void bind(T* values, T* gradients);
  /// An input, or a result that is made elsewhere, for nodes that read it.
  void lend(ValueId id, View<const T> value) { lent_[index_of(id)] = value; }
  /// Where a value of TrainingPart::placed is or will be.
  void place(ValueId id, View<T> value) { kept_[index_of(id)] = value; }
  /// The statistics of batch norm `node`; must outlive the forward and the backward pass.
  void give(std::size_t node, const Normalizer<T>* statistics) { given_[node] = statistics; }

  struct Step {
    std::uint64_t seed = 0, number = 0;  ///< of the ops with randomness: of the run, and which step it is
    int first_image = 0;
  };
  /// One view per graph input, or none where no node reads one.
  void forward(std::span<const View<const float>> inputs, const Step& step, const Tap<T>& tap = {});
  /// Makes the values of TrainingPart::again once more, of the step and images of that forward call.
  void refresh(const Step& step);
  /// `gradients`, by value: of TrainingPart::outside. It starts at those that are begun.
  void backward(std::span<const View<T>> gradients);
  /// Where the gradient of a value is.
  View<T> gradient_view(ValueId id, std::span<const View<T>> gradients);

  View<const T> value(ValueId id) const;
  /// By node; what an owner does for a node may be added.
  std::vector<NodeTime>& times() { return times_; }
  /// Of values and gradients.
  std::size_t bytes() const { return (kept_block_.size() + gradient_arena_.size()) * sizeof(T); }

 private:
  /// What is done with a node's result before it is kept, in the same sweep: nodes, or -1.
  struct Tail {
    int clamp = -1, quantizer = -1;
  };
  void plan_fusion();
  void plan_gradients();
  bool can_absorb(ValueId id) const;
  Tail quantizer_behind(ValueId id) const;
  ValueId result_of(int node) const;
  Shape gradient_shape(std::size_t value) const;
  ValueId written_by(std::size_t node) const;
  std::optional<QuantSpec> grid_of(ValueId id) const;
  bool forward_on_codes(std::size_t index, const Forward<T>& forward);
  void run_node(std::size_t index, std::span<const View<const T>> in);
  std::uint32_t begin_inputs(const Node& node, std::vector<bool>& begun, std::vector<View<T>>& din,
                             std::span<const View<T>> gradients);
  std::uint64_t node_seed(std::size_t index) const;
  void backward_tail(std::size_t index, View<T> gradient, std::span<const View<T>> gradients);

  const Graph& graph_;
  FixedValues<T>& fixed_;
  TrainingPart part_;
  Options options_;
  bool planned_ = false;
  Step step_;
  T* gradient_memory_ = nullptr;
  Block<T> kept_block_, gradient_arena_;
  std::vector<View<T>> kept_;  ///< by value: inputs and results of the batch, in the block
  std::vector<View<const T>> lent_;
  std::vector<const Normalizer<T>*> given_;  ///< by node
  std::vector<std::size_t> value_offsets_;
  Memory memory_;
  std::vector<OpState> states_;
  std::vector<OpState> code_states_;  ///< by node: of forward_on_codes
  std::vector<NodeTime> times_;
  std::vector<std::size_t> gradient_offsets_;
  std::vector<Tail> tails_;          ///< by node
  std::vector<bool> done_before_;    ///< by node: as part of the tail of another
  std::vector<bool> lives_nowhere_;  ///< by value: between a node and the end of its tail
};

extern template class TrainingPass<float>;
extern template class TrainingPass<double>;

}  // namespace binade
