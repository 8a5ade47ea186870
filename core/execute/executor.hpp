// Runs a graph: for inference image by image through planned, reused memory; for training the whole batch, kept.
#pragma once

#include <memory>
#include <span>

#include "core/execute/training_pass.hpp"
#include "core/graph/graph.hpp"

namespace binade {

struct ExecutorOptions {
  Mode mode = Mode::inference;
  /// Inference, and training steps that go image by image, run the batch in pieces of that many images, each through
  /// the whole network on one thread. Results of inference do not depend on it.
  int piece = 1;
  std::uint64_t seed = 0;  ///< of the ops with randomness, in training
  /// Training: batch norm with the clamp behind it, and clamps with the quantizer behind them, in one sweep each way.
  /// The same bits; a tap turns it off.
  bool fuse = true;
  /// Steps go image by image, between batch norms on batch statistics if there are any.
  bool depth_first = true;
  bool timed = false;  ///< training: keep node_times()
};

/// Whether the images of a training step may go one by one, or a tap wants to see the whole batch.
enum class Together : std::uint8_t { images, batch };

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
  /// Training, with a loss as output: forward and backward of it in one call, image by image where that is possible,
  /// which takes less time and a fraction of the memory. Returns the loss. Gradients are sums in another order than
  /// those of `backward`.
  T step(std::span<const View<const float>> inputs, const Tap<T>& tap = {}, Together together = Together::images);
  /// After backward or step.
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
  /// By node: what it took in all training steps so far, constants excepted. @pre ExecutorOptions::timed
  std::vector<NodeTime> node_times() const;
  /// Bytes of activation memory: all lanes' arenas, or everything kept for training.
  std::size_t activation_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

extern template class Executor<float>;
extern template class Executor<double>;

}  // namespace binade
