// A quantization-aware training as a job: its start, its images, its run. What `qat` and the qat rows of `table` share.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/bind.hpp"
#include "cli/methods.hpp"
#include "cli/session.hpp"
#include "core/model/model.hpp"
#include "datasets/loader.hpp"
#include "ptq/ptq.hpp"

namespace binade {

/// The preset, then what flags and config say ([qat]). @throws UsageError for an unknown preset
QatOptions qat_options(const Method& method, const QatFlags& qat, const Flags& flags, std::uint64_t seed);
/// The post-training quantization that it starts from: --qat.start or what the preset says, then [ptq].
PtqOptions start_options(const Method& method, const QatFlags& qat, const Flags& flags, std::uint64_t seed);

/// The training images, none of them an evaluation image; a line in `notes` with --allow-leakage. With `labels`, every
/// one has a label that is a class of the network.
std::unique_ptr<TrainingLoader> read_training_images(const QatFlags& qat, const DataFlags& data, const Model& model,
                                                     bool labels, LoadedImages& evaluation,
                                                     std::vector<std::string>& notes);
/// Where to calibrate: where the flags say, else on training images.
DataFlags calibration_flags(const QatFlags& qat, const DataFlags& data);

struct QatJob {
  std::string name;    ///< for the progress bar
  const Model& model;  ///< float
  const Graph& start;  ///< quantized
  TrainingLoader& training;
  LoadedImages* validation = nullptr;  ///< none: no validation on the way
  QatOptions options;
  std::filesystem::path checkpoint;  ///< file to write it to; empty: none. CSV files go beside it
};

/// Trains with a progress bar, from the checkpoint if `resume` and it is there.
QatResult run_qat_job(const QatJob& job, bool resume);

/// What a report says of a run.
nlohmann::json details_of(const QatResult& result);

}  // namespace binade
