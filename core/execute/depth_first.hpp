// A training step image by image: each goes through as much of the network as it can while its values are in the
// caches.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/execute/batch_losses.hpp"
#include "core/execute/batch_memory.hpp"
#include "core/execute/stages.hpp"
#include "core/execute/training_pass.hpp"

namespace binade {

/// Images meet in the loss and in batch norms on batch statistics. These cut the network into stages: each image goes
/// through a stage on one thread, forward, and later back; all wait for each other between two stages. A network
/// without such norms has one stage, which images pass forward and backward in one go.
///
/// Images are shared out in chunks that depend on the batch alone, and sums over images are made in the order of the
/// chunks: the same bits for any number of threads. Only what a later stage reads is kept for the whole batch; the
/// rest is memory of a piece of the batch per thread, and cheap values are recomputed in backward.
template <class T>
class DepthFirst {
 public:
  /// Whether a step can go this way: the output is a loss whose labels come from an input, and gradients of parameters
  /// alone are wanted.
  static bool applies(const Graph& graph, const std::vector<bool>& wanted);

  /// `piece`: images that go together. Keeps references; the graph's batch norms must stay as frozen as they are.
  DepthFirst(const Graph& graph, FixedValues<T>& fixed, const std::vector<bool>& wanted, int piece);

  /// More than one: nothing may be tapped, and fusing is not optional.
  int stage_count() const { return stages_.count; }

  struct Options {
    typename TrainingPass<T>::Step step;
    bool fuse = true, timed = false;
  };
  /// Forward and backward of the whole batch. The gradients of the wanted parameters are added to `gradients`, by
  /// value. Returns the loss. @shape inputs: one view per graph input
  T step(std::span<const View<const float>> inputs, std::span<const View<T>> gradients, const Options& options,
         const Tap<T>& tap = {});

  std::size_t bytes() const;
  /// Adds what steps with Options::timed took, by node.
  void add_times(std::vector<NodeTime>& times) const;

 private:
  /// What one thread works with.
  struct Runner {
    std::vector<std::unique_ptr<TrainingPass<T>>> passes;  ///< by stage
    Block<T> values, scratch;                              ///< of whatever pass is at work
    Block<T> sums;                                         ///< gradients of parameters and constants, for one stage
    std::vector<View<T>> gradients;                        ///< by value
  };
  /// A batch norm on batch statistics.
  struct Norm {
    std::size_t node;
    ValueId x, written;  ///< read; written by it or the clamp after it
    int clamp;           ///< its node, or -1
    Normalizer<T> normalizer;
    std::vector<ChannelMoments> moments;         ///< by piece
    std::vector<std::vector<double>> gradients;  ///< sums by piece
  };
  /// A stage's sums over images: where they lie in Runner::sums and in totals_.
  struct Sums {
    std::vector<std::size_t> values, offsets;
    std::size_t elements = 0;
  };
  struct Call {
    std::span<const View<const float>> inputs;
    const Options& options;
    const Tap<T>& tap;
  };
  /// What a piece does in a stage; returns its part of the loss.
  using Work = std::function<double(Runner&, std::size_t piece)>;

  void plan(int batch);
  Limits<T> limits(const Norm& norm) const;
  std::unique_ptr<Runner> make_runner() const;
  TrainingPart part_of(int stage) const;
  void bind(Runner& runner, const Call& call);
  typename TrainingPass<T>::Step step_of(const Call& call, std::size_t piece) const;
  void place(Runner& runner, int stage, const Call& call, std::size_t piece);
  double forward(Runner& runner, int stage, const Call& call, std::size_t piece);
  void backward(Runner& runner, int stage, const Call& call, std::size_t piece, bool again);
  double begin_losses(Runner& runner, const TrainingPass<T>& pass, std::size_t piece, std::vector<T>& begin);
  void run_stage(int stage, bool adds, const Work& work);
  void run_chunks(Runner& runner, int stage, bool adds, const Work& work, std::atomic<int>& next);
  void add_in_turn(const Runner& runner, const Sums& sums, int chunk, double loss);
  void collect(int stage, std::span<const View<T>> gradients);
  void set_statistics(int stage);

  const Graph& graph_;
  FixedValues<T>& fixed_;
  std::vector<bool> reaches_;  ///< by value
  int piece_, batch_ = 0;
  BatchLosses losses_;
  Stages stages_;
  std::vector<bool> is_sum_;  ///< by value: a parameter or constant whose gradient is summed over the images
  TrainingPass<T> constants_;
  std::vector<Sums> sums_;  ///< by stage
  std::vector<Norm> norms_;
  std::vector<Piece> pieces_;
  std::vector<std::pair<std::size_t, std::size_t>> chunks_;  ///< ranges of pieces
  BatchMemory<T> memory_;
  Block<T> totals_;
  std::vector<std::vector<std::size_t>> touched_;  ///< by stage: values with memory for the whole batch
  std::vector<Tensor<T>> inputs_;                  ///< copies, where T is not float
  std::vector<Tensor<T>> constant_gradients_;      ///< by value
  std::vector<std::unique_ptr<Runner>> runners_;

  std::mutex mutex_;
  std::condition_variable turn_changed_;
  int turn_ = 0;
  bool failed_ = false;
  double loss_ = 0;
};

extern template class DepthFirst<float>;
extern template class DepthFirst<double>;

}  // namespace binade
