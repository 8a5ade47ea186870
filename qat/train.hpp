// A whole training run: epochs of steps, a learning rate for each, validation, and a checkpoint to go on from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/model/training_source.hpp"
#include "qat/loss.hpp"
#include "qat/metrics.hpp"
#include "qat/schedule.hpp"
#include "qat/trainer.hpp"

namespace binade {

struct TrainOptions {
  int epochs = 30;
  int batch = 64;  ///< images that do not fill a batch are left out of their epoch
  ScheduleOptions schedule;
  UpdateOptions update;
  LossOptions loss;
  double gradient_clip = 0;  ///< largest 2-norm of all gradients together; 0: no limit
  std::uint64_t seed = 0;    ///< of dropout; the source has its own
  int validate_epochs = 1;   ///< validate every so many epochs, and after the last
  int log_steps = 20;        ///< steps per row of metrics
  int checkpoint_steps = 0;  ///< steps between two checkpoints inside an epoch; 0: only after every epoch
  /// A row of metrics whose mean loss is more than that many times the least row's, plus 0.1, means that the run has
  /// diverged; 0: only what is not a number does.
  double loss_jump = 0;
};

/// What decides the bits of a run, as name and value: a continued run must agree.
std::map<std::string, std::string> settings(const TrainOptions& options);

/// A run after some step: all it takes to go on as if it had never stopped.
struct TrainCheckpoint {
  Graph network;
  TrainerState trainer;
  int epochs_done = 0;
  std::vector<MetricsRow> metrics;
  double row_loss = 0;  ///< sum of the losses since the last row of metrics
  int row_steps = 0;    ///< and their number
  std::map<std::string, std::string> settings;
};

/// Told after every step.
struct TrainProgress {
  int epoch = 0, epochs = 0;
  std::int64_t step = 0, steps = 0;  ///< updates done, of all
  double loss = 0;                   ///< of this step
  double learning_rate = 0;
  double images_per_second = 0;  ///< since this call of train() began, validation excluded
  double seconds_left = 0;       ///< validation included
};

struct TrainCallbacks {
  std::function<void(const TrainProgress&)> on_step;
  std::function<double(const Graph&)> validate;  ///< top-1 in percent
  /// Before the first step, every checkpoint_steps steps and after every epoch.
  std::function<void(const TrainCheckpoint&)> on_checkpoint;
};

/// Who else takes part in a run.
struct TrainPartners {
  const Graph* teacher = nullptr;
  StepObserver* observer = nullptr;
  std::map<std::string, std::string> settings;  ///< theirs, to be compared like those of TrainOptions
  std::map<std::string, double> rate_factors;   ///< on the learning rates of parameters, by their names; else 1
};

/// Trains until `options.epochs` epochs are done, from the network as it is or from a checkpoint of the same network
/// and settings. The same bits for any number of threads, and for any place where the run was stopped and continued.
/// @throws UsageError if options make no sense, differ from the checkpoint's (all differences are listed), or training
///   diverges; in that case the last checkpoint was good
TrainCheckpoint train(const Graph& network, TrainingSource& source, const TrainOptions& options,
                      const TrainCallbacks& callbacks = {}, const TrainCheckpoint* resume = nullptr,
                      const TrainPartners& partners = {});

}  // namespace binade
