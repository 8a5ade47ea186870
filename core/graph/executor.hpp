// Runs a graph: for inference image by image through planned, reused memory; for training the whole batch, kept.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/graph/graph.hpp"

namespace binade {

/// Sees the values as they are made. `first_image` is the position in the batch of the view's first image.
/// During inference it is called from several threads at once, each with other images; a tap keeps what it learns in
/// slots of its own per image, or in quantities whose merge does not depend on order.
template <class T>
using Tap = std::function<void(ValueId, View<const T>, int first_image)>;

struct ExecutorOptions {
  Mode mode = Mode::inference;
  /// Inference runs the batch in pieces of that many images, each through the whole network on one thread. Results
  /// do not depend on it beyond float rounding inside an image's own arithmetic, which is per image.
  int piece = 1;
  std::uint64_t seed = 0;  ///< of the ops with randomness, in training
  /// Training: batch norm and the clamp behind it in one sweep each way. The same bits; a tap turns it off.
  bool fuse = true;
};

/// Owns a copy of the graph. Memory is planned and allocated at the first call for a batch size and reused.
template <class T>
class Executor {
 public:
  explicit Executor(const Graph& graph, ExecutorOptions options = {});
  ~Executor();
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;

  /// Runs the graph. One view per graph input, all with the same batch n. The result is valid until the next call.
  View<const T> forward(std::span<const View<const float>> inputs, const Tap<T>& tap = {});
  View<const T> forward(View<const float> input, const Tap<T>& tap = {}) { return forward({&input, 1}, tap); }

  /// Training: gradients of sum(output * dout) with respect to every wanted parameter and input, computed afresh.
  void backward(View<const T> dout);
  /// After backward. Null for a value that does not reach the output.
  View<const T> gradient(ValueId id) const;
  /// Training: how many forward calls there were; with the seed it decides what Dropout drops. A continued run sets it.
  void set_step(std::uint64_t step);
  /// Also compute gradients of the graph's inputs, or of fewer parameters. Default: all parameters, no inputs.
  void want_gradients(std::span<const ValueId> ids);

  /// A parameter's elements, in T. Writing goes through `set_parameter` or `update`.
  View<const T> parameter(ValueId id) const;
  void set_parameter(ValueId id, std::span<const T> elements);
  /// A writable view; whatever was derived from parameters (packed weights, folded constants) is renewed afterwards.
  View<T> update_parameter(ValueId id);

  /// Training: other attributes for a node from the next forward call on, such as the grid of a FakeQuant.
  void set_attributes(int node, const Op& op);

  const Graph& graph() const;
  /// The graph with the executor's current parameters (running statistics included).
  Graph graph_with_parameters() const;
  /// Bytes of activation memory: all lanes' arenas, or everything kept for training.
  std::size_t activation_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace binade
