// The names of all options: the one place where a variable of a room becomes a flag.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/calibrate.hpp"
#include "cli/flags.hpp"
#include "datasets/transforms.hpp"
#include "experiment/images.hpp"
#include "experiment/network.hpp"
#include "experiment/settings.hpp"
#include "ptq/ptq.hpp"
#include "qat/qat.hpp"
#include "qat/train.hpp"

namespace binade {

/// --model, --weights and [preprocessing].
void bind(Flags& flags, NetworkSource& network);

/// --dataset, --data, --images, --skip-bad-images, --seed, [generated].
void bind_evaluation(Flags& flags, DataSource& data);
/// --calibration-data, --calibration-images, --allow-leakage.
void bind_calibration(Flags& flags, DataSource& data);

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
void bind(Flags& flags, TrainSettings& train);

/// [augment].
void bind(Flags& flags, Augmentation& augmentation);

/// [qat]: an overlay on what a preset says.
void bind(Flags& flags, QatOptions& options);

/// --training-data, [qat] and [augment].
void bind(Flags& flags, QatSettings& qat, QatOptions& options);

/// [calibrate]: an overlay on what a preset says.
void bind(Flags& flags, CalibrateOptions& options);

/// --layer-bits: widths of single layers, "NAME=BITS", of every quantized row.
void bind_layer_bits(Flags& flags, std::vector<std::string>& layers);

/// What was set in [ptq], [qat] or [calibrate], as a patch on what a preset says.
template <class Options>
Patch<Options> patch_of(const Flags& flags) {
  return [&flags](Options& options) {
    Flags overlay;
    bind(overlay, options);
    flags.apply_to(overlay);
  };
}

}  // namespace binade
