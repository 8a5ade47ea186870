// A training step image by image: each goes through the whole network and back while its values are in the caches.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/graph/training_pass.hpp"

namespace binade {

/// For graphs in which images meet only in the loss: no batch norm on batch statistics. Images are shared out in chunks
/// that depend on the batch alone, and gradients are added in the order of the chunks: the same bits for any number of
/// threads. Memory for values is that of a piece of the batch per thread.
template <class T>
class DepthFirst {
 public:
  /// Whether a step can go this way now: the output is a loss, labels come from an input, no image depends on another.
  static bool applies(const Graph& graph, const std::vector<bool>& wanted);

  /// `piece`: images that go together. Keeps references.
  DepthFirst(const Graph& graph, FixedValues<T>& fixed, const std::vector<bool>& wanted, int piece);

  /// Forward and backward of the whole batch. The gradients of the wanted parameters are added to `gradients`, by
  /// value. Returns the loss. @shape inputs: one view per graph input
  T step(std::span<const View<const float>> inputs, const typename TrainingPass<T>::Step& step,
         std::span<const View<T>> gradients, bool fuse, const Tap<T>& tap = {});

  std::size_t bytes() const;

 private:
  /// What one thread works with.
  struct Runner {
    std::unique_ptr<TrainingPass<T>> pass;
    Block<T> sums;  ///< gradients of parameters and constants, as in offsets_
    std::vector<View<T>> gradients;
  };
  struct Call {
    std::span<const View<const float>> inputs;
    typename TrainingPass<T>::Step step;
    const Tap<T>& tap;
    bool fuse;
  };
  struct Loss {
    std::size_t node;
    std::vector<double> counted;  ///< by image: what its mean counts
    double total = 0;
  };

  std::unique_ptr<Runner> make_runner() const;
  void find_losses(std::span<const View<const float>> inputs);
  void run(Runner& runner, const Call& call, int chunks, std::atomic<int>& next);
  double run_piece(Runner& runner, const Call& call, int first, int images);
  void add_in_turn(Runner& runner, int chunk, double loss);

  const Graph& graph_;
  FixedValues<T>& fixed_;
  std::vector<bool> reaches_, is_sum_;  ///< by value; the latter: a gradient that is summed over the images
  int piece_;
  TrainingPass<T> constants_;
  std::vector<std::size_t> offsets_;  ///< by value
  std::size_t sum_elements_ = 0;
  std::vector<std::unique_ptr<Runner>> runners_;
  Block<T> totals_;
  std::vector<Loss> losses_;

  std::mutex mutex_;
  std::condition_variable turn_changed_;
  int turn_ = 0;
  bool failed_ = false;
  double loss_ = 0;
};

extern template class DepthFirst<float>;
extern template class DepthFirst<double>;

}  // namespace binade
