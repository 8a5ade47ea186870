// The fast mode: from a float graph and unlabelled images to a quantized graph, in about one pass over the images.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"
#include "core/passes/widths.hpp"

namespace binade {

struct CalibrateOptions {
  int weight_bits = 8;
  int activation_bits = 8;
  std::vector<LayerWidth> layer_bits;  ///< layers with other widths
  int bias_bits = 32;                  ///< 32 and 16 at accumulator scale; 8 on its own power-of-two grid (TI)

  /// Scale channels first, without changing what the network computes, for the least estimated noise at the output.
  bool rescale = false;
  /// See uncap_relu(); of the quantized network only, and only where the float network stays much the same without its
  /// caps (10 dB on 16 images).
  bool uncap_relu = false;
  bool clamp_weights = false;            ///< see clamp_weights(); of the quantized network only
  bool per_channel_depthwise = false;    ///< see per_channel_depthwise(); of the quantized network only
  std::string range = "running";         ///< of activations: "running", "least_noise", or an estimator
  std::string weight_range = "min_max";  ///< "least_noise" or an estimator
  double percentile = 0.01;              ///< percent cut at each tail by "running" and the estimator "percentile"
  int headroom_bits = 0;                 ///< doubles the ranges of activations that often; not of "running"

  /// Round weights layer by layer for the float network's outputs on some of the images: see round_layers().
  bool round_weights = false;

  double factor = 1;         ///< of the bias correction; 0: none
  bool decay = true;         ///< the k-th batch gets factor / k, so that biases become means over all batches
  double weight_factor = 0;  ///< of the correction of deviations by weights, per output channel; 0: none
  int batch = 16;            ///< images per step
  int iterations = 0;        ///< steps, over the images as often as it takes; 0: each image once
  double tolerance = 0;      ///< stop when a step moves no layer's biases by more than that part of its deviation
  std::uint64_t seed = 0;
};

struct CalibratePreset {
  std::string_view name, summary;
  CalibrateOptions (*make)(int weight_bits, int activation_bits);
};
std::span<const CalibratePreset> calibrate_presets();

/// default, ti-simple, ti-advanced, ti-advanced-dw. @throws UsageError for an unknown name
CalibrateOptions calibrate_preset(const std::string& name, int weight_bits, int activation_bits);

struct CalibrateResult {
  Graph quantized;        ///< FakeQuant after every quantized tensor
  nlohmann::json report;  ///< seconds by stage, images, steps, images_per_second, movements
};

/// `on_progress(stage, done, total)` counts images of steps.
CalibrateResult calibrate(const Graph& graph, ImageSource& images, const CalibrateOptions& options,
                          const std::function<void(const std::string&, int, int)>& on_progress = {});

/// Weights of depthwise convolutions on grids per channel: each channel on the power of two at or above its own largest
/// magnitude, but at most 2^8 times finer than the tensor's. Such values lie exactly on one grid of 8 bits more (at
/// most 16) for the whole tensor, which is the form that a device with one grid per tensor can take. Returns the names
/// of the parameters. @source TI's per_channel_q [docs/ti.md 1.7]
std::vector<std::string> per_channel_depthwise(Graph& graph, const Widths& widths);

}  // namespace binade
