// Settings that several jobs share: how a network is trained, and what is changed of a preset.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "calibration/calibrate.hpp"
#include "datasets/transforms.hpp"
#include "ptq/ptq.hpp"
#include "qat/checkpoint.hpp"
#include "qat/qat.hpp"
#include "qat/train.hpp"

namespace binade {

/// Changes what a preset says, whichever widths it was made for; empty: nothing.
template <class Options>
using Patch = std::function<void(Options&)>;

template <class Options>
Options patched(Options options, const Patch<Options>& patch) {
  if (patch) patch(options);
  return options;
}

/// The state in a checkpoint of a training, with the speeds of metrics.csv beside it; none if it is not there.
std::optional<SavedTraining> saved_training(const std::filesystem::path& checkpoint);

/// Training in float.
struct TrainSettings {
  TrainOptions options;
  Augmentation augmentation;
  std::string training_data;           ///< empty: the training part of the data
  double width = 1;                    ///< of a network of the zoo, as the number of classes
  int classes = 0;                     ///< 0: as many as the data has
  std::string class_weights = "none";  ///< none, log or median
};

/// Quantization-aware training.
struct QatSettings {
  std::string preset = "best";
  std::string start;                            ///< preset of post-training quantization; empty: as the preset says
  std::string training_data;                    ///< empty: the training part of the data
  std::string training_dataset;                 ///< its layout; empty: as that of the data
  int training_images = 0;                      ///< 0: all
  Augmentation augmentation{.area_min = 0.85};  ///< small crops teach other images than those that come
  Patch<QatOptions> patch;
};

/// The fast mode.
struct CalibrateSettings {
  std::string preset = "default";
  Patch<CalibrateOptions> patch;
};

}  // namespace binade
