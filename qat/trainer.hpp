// One network under training: a step is forward, loss, backward, update. Trains any graph, quantized ones too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/execute/executor.hpp"
#include "core/graph/graph.hpp"
#include "core/model/training_source.hpp"
#include "qat/loss.hpp"
#include "qat/optimizer.hpp"

namespace binade {

/// Parameters that are updated alike.
struct ParameterGroup {
  std::string name;
  std::vector<ValueId> parameters;
  OptimizerOptions optimizer;
  double learning_rate_factor = 1;
  double weight_decay = 0;
};

struct UpdateOptions {
  OptimizerOptions optimizer;
  double weight_decay = 1e-4;
  /// Also of biases and of batch normalisation's gamma and beta: what quantizes well [docs/ti.md 5].
  bool decay_everything = true;
  /// Of what quantizers learn: Pact's clips, Tqt's log2 thresholds, Lsq's steps.
  OptimizerOptions threshold_optimizer;
  double threshold_learning_rate_factor = 1;
  double threshold_decay = 0;  ///< Pact's regulariser is a decay of its clips
};

/// All trainable parameters: "weights", "vectors" (biases, gamma and beta) and "thresholds" (what quantizers learn).
/// Empty groups are left out.
std::vector<ParameterGroup> parameter_groups(const Graph& network, const UpdateOptions& options);

/// What an observer must know to go on.
struct ObserverState {
  std::map<std::string, Tensor<float>> tensors;
  std::string text;  ///< JSON, or empty
};

/// Takes part in the steps of a Trainer from inside: sees values, moves grids, holds parameters. What it does must be a
/// function of what it saw, so that runs stay reproducible.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  /// Before the first step of an epoch, and before the first step of a continued run.
  virtual void start_epoch(Executor<float>& executor, int epoch) = 0;
  /// What sees the values of the forward pass of step 0, 1, ...; none if it need not.
  virtual Tap<float> tap(std::int64_t step) = 0;
  /// Whether the tap must see whole batches, not images one by one and on several threads at once.
  virtual bool wants_batches() const = 0;
  virtual void after_update(Executor<float>& executor, std::int64_t step) = 0;
  virtual ObserverState state() const = 0;
  /// @throws DataError if the state belongs to another network
  virtual void restore(const ObserverState& state) = 0;
};

/// Everything that a continued run must know besides the network: same bits in, same bits out.
struct TrainerState {
  std::int64_t step = 0;                         ///< updates so far
  std::map<std::string, Tensor<float>> tensors;  ///< "PARAMETER.momentum"
  ObserverState observer;
};

class Trainer {
 public:
  /// With distillation, `teacher` makes the logits to learn from, in inference. `observer` must outlive this.
  /// @throws UsageError for an unknown optimizer
  Trainer(const Graph& network, const LossOptions& loss, std::vector<ParameterGroup> groups, std::uint64_t seed,
          const Graph* teacher = nullptr, StepObserver* observer = nullptr);

  struct Rates {
    double learning_rate = 0;
    double gradient_clip = 0;  ///< largest 2-norm of all gradients together; 0: no limit
  };
  /// One update; returns the batch's loss before it. The same bits for any number of threads.
  /// @throws UsageError if the loss or a gradient is not a finite number, naming where it first shows
  double step(const LabelledBatch& batch, const Rates& rates);

  /// To be called before the first step of an epoch, and before the first step of a continued run.
  void start_epoch(int epoch);

  std::int64_t steps() const { return step_; }
  /// The 2-norm of all gradients of the last step, before clipping; 0 when it was not needed.
  double gradient_norm() const { return gradient_norm_; }
  /// The network with its present parameters, running statistics and grids, without the loss.
  Graph network() const;
  TrainerState state() const;
  /// Continues from a state of the same network. @throws DataError if a tensor is missing, surplus or has another shape
  void restore(const Graph& network, const TrainerState& state);

 private:
  /// One parameter with its optimizer's state.
  struct Slot {
    ValueId id;
    const ParameterGroup* group;
    const OptimizerEntry* rule;
    std::vector<Tensor<float>> state;
  };
  /// A part of a slot: the unit of work of norm and update, the same for any number of threads.
  struct Chunk {
    std::size_t slot;
    std::int64_t begin, end;
  };

  double squared_norm();
  void update(const Rates& rates, double gradient_factor);
  [[noreturn]] void fail_not_finite(const std::string& what, const Rates& rates) const;

  Graph network_;
  LossOptions loss_;
  Executor<float> executor_;
  std::unique_ptr<Executor<float>> teacher_;
  StepObserver* observer_;
  std::vector<std::unique_ptr<ParameterGroup>> groups_;
  std::vector<Slot> slots_;
  std::vector<Chunk> chunks_;
  std::vector<double> sums_;  ///< by chunk
  std::int64_t step_ = 0;
  double gradient_norm_ = 0;
};

}  // namespace binade
