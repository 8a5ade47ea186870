// The names of all options: the one place where a variable of a room becomes a flag.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/calibrate.hpp"
#include "cli/flags.hpp"
#include "datasets/generated.hpp"
#include "datasets/streets.hpp"
#include "datasets/transforms.hpp"
#include "ptq/ptq.hpp"
#include "qat/qat.hpp"
#include "qat/train.hpp"

namespace binade {

/// --model, --weights and [preprocessing].
struct NetworkFlags {
  std::string model;
  std::string output;      ///< which of several outputs of a file
  std::string input_size;  ///< "224" or "360x480" (height x width), where file or zoo leave it open; empty: as they say
  std::string weights;     ///< a network whose weights the model takes; empty: it keeps its own
  std::string weights_map = "auto", weights_part = "all";
  std::string weights_names;  ///< a file of pairs of names
  /// What the model's own preprocessing is overlaid with; empty: as the model says.
  std::string resize, interpolation, color, mean, scale;
  int size = 0;
};
void bind(Flags& flags, NetworkFlags& network);

/// Which images.
struct DataFlags {
  std::string dataset = "imagenet";
  std::string data;
  std::string calibration_data;  ///< empty: the training part of `data`
  int images = 0;                ///< 0: all
  int calibration_images = 256;
  bool skip_bad_images = false;
  bool allow_outside = false;
  std::string resolution = "labels";  ///< of a segmentation's pixels that are counted
  int overlays = 0;                   ///< pictures of a segmentation below --out
  bool allow_leakage = false;
  GeneratedOptions generated;
  StreetOptions streets;
  std::uint64_t seed = 0;
};
/// --dataset, --data, --images, --skip-bad-images, --seed, [generated].
void bind_evaluation(Flags& flags, DataFlags& data);
/// --calibration-data, --calibration-images, --allow-leakage.
void bind_calibration(Flags& flags, DataFlags& data);

/// --out, --force, --format.
struct OutputFlags {
  std::string out;
  bool force = false;
  std::string format = "text";
};
void bind(Flags& flags, OutputFlags& output);

/// [ptq]: an overlay on what a preset says.
void bind(Flags& flags, PtqOptions& options);

/// [train] and [augment].
struct TrainFlags {
  TrainOptions options;
  Augmentation augmentation;
  std::string training_data;  ///< empty: the training part of --data
  double width = 1;           ///< of a network of the zoo, as the number of classes
  int classes = 0;            ///< 0: as many as the data has
  std::string class_weights = "none";
};
void bind(Flags& flags, TrainFlags& train);

/// [augment].
void bind(Flags& flags, Augmentation& augmentation);

/// [qat]: an overlay on what a preset says.
void bind(Flags& flags, QatOptions& options);

/// --training-data, [qat] and [augment].
struct QatFlags {
  std::string preset = "best";
  std::string start;                            ///< preset of post-training quantization; empty: as the preset says
  std::string training_data;                    ///< empty: the training part of --data
  std::string training_dataset;                 ///< its layout; empty: as --dataset
  int training_images = 0;                      ///< 0: all
  Augmentation augmentation{.area_min = 0.85};  ///< small crops teach other images than those that come
  QatOptions options;                           ///< only what was set counts, through the flags
};
void bind(Flags& flags, QatFlags& qat);

/// [calibrate]: an overlay on what a preset says.
struct CalibrateFlags {
  std::string preset = "default";
  CalibrateOptions options;  ///< only what was set counts, through the flags
};
void bind(Flags& flags, CalibrateOptions& options);

}  // namespace binade
