// Quantization-aware training: a quantized graph is trained against labels, the float network, or both.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qat/quantizer_watch.hpp"
#include "qat/train.hpp"
#include "qat/training_graph.hpp"

namespace binade {

struct QatOptions {
  TrainOptions train;
  TrainingGraphOptions graph;
  WatchOptions watch;
  /// Of what quantizers learn, at the peak of the schedule: in log2 units for tqt, else in units of the first value.
  double threshold_learning_rate = 0.01;
  /// The learning rate of a weight counts in steps of its grid, the one of a bias in steps of the grid after its layer:
  /// one rate for all widths and layers. For optimizers whose steps do not depend on the gradient's size.
  bool rate_in_codes = false;
  int reestimate_batches = 0;  ///< merge: batches whose statistics replace the running ones at the end; 0: none
};

struct QatPreset {
  std::string_view name, summary;
  std::string_view start;  ///< the preset of post-training quantization that it starts from
  QatOptions (*make)(int weight_bits, int activation_bits);
};

/// `best`, `pact`, and `ti-qat`: TI's recipe [docs/ti.md 2.5, 2.6].
std::span<const QatPreset> qat_presets();

/// What decides the bits of a run beyond the options of train().
std::map<std::string, std::string> settings(const QatOptions& options);

/// The graph with the running statistics of its batch norms made anew, as the mean over `batches` batches of the epoch
/// after the last: weights that moved after the statistics were frozen have others.
Graph with_reestimated_statistics(const Graph& training, TrainingSource& source, int epoch, int batch, int batches);

struct QatResult {
  Graph quantized;  ///< frozen: FakeQuant nodes (lsq: still Lsq)
  TrainCheckpoint checkpoint;
  std::vector<TelemetryRow> telemetry;
  std::vector<std::string> warnings;
};

struct QatCallbacks {
  std::function<void(const TrainProgress&)> on_step;
  std::function<double(const Graph& quantized)> validate;  ///< top-1 in percent
  /// The record so far comes with it.
  std::function<void(const TrainCheckpoint&, std::span<const TelemetryRow>)> on_checkpoint;
};

/// Trains from `start` (also when it resumes: units and bits come from it), a quantized graph such as post-training
/// quantization makes; `reference` is the float network to learn from. With `resume` it goes on from there, to the same
/// bits as if it had never stopped.
/// @throws UsageError as train()
QatResult quantization_aware_train(const Graph& start, const Graph& reference, TrainingSource& source,
                                   const QatOptions& options, const QatCallbacks& callbacks = {},
                                   const TrainCheckpoint* resume = nullptr);

}  // namespace binade
