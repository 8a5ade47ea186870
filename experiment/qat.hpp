// Quantization-aware training as a job: its start, its images, its run. The qat rows of a table use the same parts.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/integer/target.hpp"
#include "datasets/loader.hpp"
#include "experiment/images.hpp"
#include "experiment/methods.hpp"
#include "experiment/settings.hpp"
#include "experiment/table.hpp"

namespace binade {

struct QatJob {
  NetworkSource network;
  DataSource data;
  QatSettings qat;
  Patch<PtqOptions> ptq;  ///< of what training starts from
  std::vector<LayerWidth> layer_bits;
  int weight_bits = 8, activation_bits = 8;
  TargetProfile target;
  int batch = 32;                 ///< images per step of an evaluation
  std::filesystem::path folder;   ///< of start.h5, training.h5 and the CSV files; empty: none is written
  bool resume = false;            ///< continue what is in `folder`, to the same bits as if it had never stopped
  nlohmann::ordered_json config;  ///< the settings as the caller names them, for the report
};

struct QatJobResult {
  Model model;  ///< quantized for the target; its notes say how
  AccuracyReport report;
  std::vector<Predictions> columns;  ///< float, start and the method
};

/// @throws UsageError, DataError
QatJobResult run(const QatJob& job, const JobControl& control = {});

/// The preset, then the patch. @throws UsageError for an unknown preset
QatOptions qat_options(const Method& method, const QatSettings& qat, std::uint64_t seed);
/// The post-training quantization that a qat row starts from: as `qat.start` or the preset says, then `ptq`.
PtqOptions start_options(const Method& method, const TableJob& job);

/// Which training images, for what.
struct TrainingImages {
  const QatSettings& qat;
  const DataSource& data;
  const Model& model;
  bool labels = true;  ///< every image must have a label that is a class of the network
};
/// The training images, none of them an evaluation image; a line in `notes` for those that cannot be read and with
/// `allow_leakage`.
std::unique_ptr<TrainingLoader> read_training_images(const TrainingImages& wanted, LoadedImages& evaluation,
                                                     std::vector<std::string>& notes, const JobControl& control);
/// Where to calibrate: where `data` says, else on training images.
DataSource calibration_source(const QatSettings& qat, const DataSource& data);

/// A training from a quantized graph.
struct QuantizedTraining {
  std::string name;    ///< for the progress
  const Model& model;  ///< float
  const Graph& start;  ///< quantized
  TrainingLoader& training;
  LoadedImages* validation = nullptr;  ///< none: no validation on the way
  QatOptions options;
  std::filesystem::path checkpoint;  ///< file to write it to; empty: none. CSV files go beside it
  /// Called before the first checkpoint is written; may be empty.
  std::function<void()> before_checkpoint = {};
};

/// Trains as a stage of progress, from the checkpoint if `resume` and it is there.
QatResult train_quantized(const QuantizedTraining& job, bool resume, const JobControl& control);

/// What a report says of a run.
nlohmann::json details_of(const QatResult& result);

}  // namespace binade
