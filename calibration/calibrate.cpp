// Presets, preparation of grids, and the loop of steps.
#include "calibration/calibrate.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <optional>

#include "calibration/collect.hpp"
#include "calibration/estimators/estimators.hpp"
#include "calibration/lock_step.hpp"
#include "calibration/propagate_energy.hpp"
#include "calibration/round_layers.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/execute/executor.hpp"
#include "core/passes/clamp_weights.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/uncap_relu.hpp"

namespace binade {
namespace {

constexpr std::string_view kRunning = "running", kLeastNoise = "least_noise";
constexpr int kNoiseImages = 64;                             ///< at most so many for the noise model
constexpr int kRoundingImages = 32, kRoundingPixels = 4096;  ///< a layer's samples for rounding
constexpr int kContainerBits = 8;                            ///< more bits for grids per channel
constexpr int kMostBits = 16;

CalibrateOptions fast(int weight_bits, int activation_bits) {
  return {.weight_bits = weight_bits,
          .activation_bits = activation_bits,
          .rescale = true,
          .range = std::string(kLeastNoise),
          .weight_range = std::string(kLeastNoise),
          .round_weights = true,
          .tolerance = 1e-3};
}

/// TI's constants; but TI's hundreds of batches of 64 become as many small ones as the correction needs to arrive:
/// 0.95^100 is half a percent.
CalibrateOptions ti_advanced(int weight_bits, int activation_bits) {
  return {.weight_bits = weight_bits,
          .activation_bits = activation_bits,
          .bias_bits = weight_bits > 8 ? 32 : 8,
          .uncap_relu = true,
          .clamp_weights = true,
          .factor = 0.05,
          .decay = false,
          .batch = 8,
          .iterations = 100};
}

CalibrateOptions ti_simple(int weight_bits, int activation_bits) {
  CalibrateOptions options = ti_advanced(weight_bits, activation_bits);
  options.clamp_weights = false;
  options.percentile = 0;
  options.factor = 0;
  options.iterations = 0;
  return options;
}

/// TI clamps no weights where channels have grids of their own.
CalibrateOptions ti_advanced_dw(int weight_bits, int activation_bits) {
  CalibrateOptions options = ti_advanced(weight_bits, activation_bits);
  options.clamp_weights = false;
  options.per_channel_depthwise = true;
  return options;
}

constexpr std::array kPresets{
    CalibratePreset{"default", "channels rescaled for little noise, biases in one pass with a decaying factor", fast},
    CalibratePreset{"ti-simple", "TI: running extremes, no correction", ti_simple},
    CalibratePreset{"ti-advanced", "TI: running percentiles, weights clamped, biases by steps of 5 %", ti_advanced},
    CalibratePreset{"ti-advanced-dw", "the same, depthwise weights with a grid per channel", ti_advanced_dw},
};

const Tensor<float>& parameter(const Graph& graph, const std::string& name) {
  ValueId id{};
  require(graph.find(name, id), "calibrate: a parameter got lost");
  return graph.tensor(id);
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// What a calibration starts from: the float network to follow, and the same one as it goes on grids.
struct Prepared {
  Graph reference, start;
};

/// One calibration: prepares the float graph and the first grids, then steps.
class Calibration {
 public:
  Calibration(ImageSource& images, const CalibrateOptions& options,
              const std::function<void(const std::string&, int, int)>& on_progress)
      : images_(images), options_(options), on_progress_(on_progress) {}

  CalibrateResult run(const Graph& graph);

 private:
  bool uses_noise() const {
    return options_.rescale || options_.range == kLeastNoise || options_.weight_range == kLeastNoise;
  }
  void tell(const std::string& stage, int done, int total) const {
    if (on_progress_) on_progress_(stage, done, total);
  }
  Prepared prepared(const Graph& graph);
  void uncap(Graph& graph);
  void limit_weights(Graph& graph);
  Graph with_least_noise(const Graph& graph);
  SpecMap first_grids(const Graph& graph) const;
  void round(Prepared& networks, const SpecMap& grids, const QuantizerOptions& quantizers);
  void step_all(LockStep& lock_step);

  ImageSource& images_;
  const CalibrateOptions& options_;
  const std::function<void(const std::string&, int, int)>& on_progress_;
  SpecMap known_;  ///< grids that the preparation chose
  nlohmann::json report_;
};

/// Without batch norm, uncapped, rescaled, as the options say; weights are limited in the quantized network only, as
/// TI does it [docs/ti.md 4]. Fills known_.
Prepared Calibration::prepared(const Graph& graph) {
  const Graph plain = rewrite(graph, [](Rewriter& to, const Node& node) {
    if (role_of(node.op) == Role::regularizer) return to.replace(node.out, to(node.in[0]));
    to.copy(node);
  });
  Graph ready = fold_batch_norm(plain);
  if (uses_noise()) ready = with_least_noise(ready);
  Prepared made{.reference = ready, .start = std::move(ready)};
  if (options_.uncap_relu) uncap(made.start);
  limit_weights(made.start);
  return made;
}

/// Takes the caps of ReLU6 away as TI does, unless they are what the network lives by: MobileNetV1 of Keras has
/// activations up to 30 under its caps, and loses 55 points of ImageNet top-1 without them, in float.
void Calibration::uncap(Graph& graph) {
  constexpr int kImages = 16;
  constexpr double kLeastRatio =
      10;  ///< signal over noise; 20.9 dB for MobileNetV2 of torchvision, -3.3 dB for the above
  const Graph uncapped = uncap_relu(graph);
  Executor<float> with(graph), without(uncapped);
  double signal = 0, noise = 0;
  for (int i = 0; i < std::min(kImages, images_.count()); ++i) {
    const View<const float> image = images_.images(i, 1), a = with.forward(image), b = without.forward(image);
    for (std::int64_t k = 0; k < a.count(); ++k) {
      signal += std::pow(static_cast<double>(a.data[k]), 2);
      noise += std::pow(static_cast<double>(a.data[k]) - static_cast<double>(b.data[k]), 2);
    }
  }
  const bool keeps = noise * kLeastRatio > signal;
  report_["relu_caps"] = {{"kept", keeps}, {"signal", signal}, {"noise_without", noise}};
  if (!keeps) graph = uncapped;
}

/// Clamps weights and puts those of depthwise layers on grids per channel, as the options say.
void Calibration::limit_weights(Graph& ready) {
  if (options_.clamp_weights) {
    auto& clamped = report_["clamped_weights"] = nlohmann::json::array();
    for (const ClampedWeights& weights : clamp_weights(ready)) {
      clamped.push_back({{"weights", weights.name}, {"largest", weights.largest}, {"limit", weights.limit}});
    }
  }
  if (options_.per_channel_depthwise) {
    const Widths widths(ready, options_.weight_bits, options_.activation_bits, options_.layer_bits);
    const std::vector<std::string> names = per_channel_depthwise(ready, widths);
    report_["per_channel_weights"] = names;
    for (const std::string& name : names) {
      ValueId id{};
      require(ready.find(name, id), "calibrate: no weights '" + name + "'");
      known_[name] = choose_min_max(TensorStats::of(ready.tensor(id).view()),
                                    {.bits = std::min(kMostBits, widths(id) + kContainerBits)});
    }
  }
}

/// The graph, its channels scaled if that is wanted, and the grids that go with it in known_.
Graph Calibration::with_least_noise(const Graph& graph) {
  NoiseModel model(
      graph, images_,
      {.weight_bits = options_.weight_bits,
       .activation_bits = options_.activation_bits,
       .layer_bits = options_.layer_bits,
       .may_rescale = options_.rescale,
       .images = std::min(kNoiseImages, images_.count()),
       .batch = options_.batch},
      [&](std::span<const ValueId> values, const NoiseTables& seen) { return propagate_energy(graph, values, seen); });
  Graph ready = graph;
  if (options_.rescale) {
    const NoiseModel::Rescaling found = model.rescale();
    report_["rescale_sweeps"] = found.sweeps;
    report_["rescaled"] = found.kept;
    report_["noise_after_rescaling"] = found.after.sum() / found.before.sum();
    if (found.kept) ready = scaled(graph, model.scales(), model.factors(), model.clip_limits());
  }
  const auto keep = [&](const std::string& name, int exponent, int bits, bool is_signed) {
    known_[name] = spec_for_exponent(exponent, bits, is_signed);
  };
  if (options_.range == kLeastNoise) {
    for (const ActivationSite& site : model.activations()) {
      if (site.bits > kFineBits) continue;  // only has to fit
      keep(graph.name(site.value), site.exponent, site.bits, site.is_signed);
    }
  }
  if (options_.weight_range == kLeastNoise) {
    for (const WeightSite& site : model.weights()) {
      const std::string& name = graph.name(site.node->in[kWeights]);
      keep(name, model.weight_exponent(site, parameter(ready, name), Rounding::half_away), site.bits, true);
    }
  }
  return ready;
}

SpecMap Calibration::first_grids(const Graph& graph) const {
  SpecMap specs;
  const Widths widths(graph, options_.weight_bits, options_.activation_bits, options_.layer_bits);
  const std::vector<ValueId> values = quantized_values(graph);
  const bool running = options_.range == kRunning;
  std::vector<ValueId> wanted;
  for (const ValueId id : values) {
    const std::string& name = graph.name(id);
    if (const auto found = known_.find(name); found != known_.end()) {
      specs[name] = found->second;
    } else if (running) {
      specs[name] = spec_for_clip(1, widths(id), true);  // the first step finds them
    } else {
      wanted.push_back(id);
    }
  }
  const auto estimator = [](const std::string& name, auto* least_noise) {
    return name == kLeastNoise ? least_noise : find_estimator(name).choose;
  };
  if (!wanted.empty()) {
    const std::vector<TensorStats> stats = collect_stats(graph, images_, wanted, options_.batch);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const GridWish wish{widths(wanted[i]), stats[i].is_signed(), options_.percentile};
      QuantSpec spec = estimator(options_.range, choose_by_width)(stats[i], wish);
      spec.frac = static_cast<std::int8_t>(spec.frac - options_.headroom_bits);
      specs[graph.name(wanted[i])] = spec;
    }
  }
  for (const ValueId id : quantized_weights(graph)) {
    const std::string& name = graph.name(id);
    const auto found = known_.find(name);
    specs[name] = found != known_.end() ? found->second
                                        : estimator(options_.weight_range, choose_mse)(
                                              TensorStats::of(graph.tensor(id).view()), {widths(id), true});
  }
  return specs;
}

void Calibration::round(Prepared& networks, const SpecMap& grids, const QuantizerOptions& quantizers) {
  const Graph quantized = insert_quantizers(networks.start, grids, quantizers);
  const RoundedLayers found =
      round_layers(quantized, networks.reference, images_,
                   {.images = kRoundingImages, .pixels = kRoundingPixels, .seed = options_.seed});
  report_["rounded_layers"] = found.rounded;
  networks.start = without_quantizers(found.graph);
}

void Calibration::step_all(LockStep& lock_step) {
  const int count = images_.count(), per_pass = (count + options_.batch - 1) / options_.batch;
  const int most = options_.iterations > 0 ? options_.iterations : per_pass;
  auto& movements = report_["movements"] = nlohmann::json::array();
  const bool corrects = options_.factor != 0 || options_.weight_factor != 0;
  int seen = 0, steps = 0;
  Movement moved;
  bool settled = false;
  while (steps < most && !settled) {
    const int first = steps % per_pass * options_.batch, n = std::min(options_.batch, count - first);
    tell("correct", seen, most * options_.batch);
    const double part = options_.decay ? 1.0 / (steps + 1) : 1.0;
    moved = lock_step.step(images_.images(first, n), first, options_.factor * part, options_.weight_factor * part);
    movements.push_back(moved.largest);
    settled = corrects && moved.largest <= options_.tolerance;
    seen += n;
    ++steps;
  }
  tell("correct", seen, seen);
  report_["steps"] = steps;
  report_["settled"] = settled;
  report_["images_seen"] = seen;
  report_["last_movement"] = {{"layer", moved.layer}, {"relative", moved.largest}};
}

CalibrateResult Calibration::run(const Graph& graph) {
  const Stopwatch whole;
  tell("look", 0, images_.count());
  Prepared networks = prepared(graph);
  const SpecMap grids = first_grids(networks.start);
  const double prepare_seconds = whole.seconds();
  const QuantizerOptions quantizers{.bias_bits = options_.bias_bits};
  if (options_.round_weights) round(networks, grids, quantizers);
  LockStep lock_step(networks.reference, networks.start, grids,
                     {.quantizers = quantizers,
                      .batch = std::min(options_.batch, images_.count()),
                      .running_ranges = options_.range == kRunning,
                      .percentile = options_.percentile,
                      .seed = options_.seed});
  const bool corrects = options_.factor != 0 || options_.weight_factor != 0 || options_.range == kRunning;
  if (corrects) step_all(lock_step);
  const double seconds = whole.seconds();
  report_["images"] = images_.count();
  report_["layers"] = lock_step.layers();
  report_["seconds"] = seconds;
  report_["prepare_seconds"] = prepare_seconds;
  report_["images_per_second"] = images_.count() / seconds;
  return {lock_step.quantized(), report_};
}

}  // namespace

std::span<const CalibratePreset> calibrate_presets() {
  return kPresets;
}

CalibrateOptions calibrate_preset(const std::string& name, int weight_bits, int activation_bits) {
  return find_by_name<CalibratePreset>("preset", name, kPresets).make(weight_bits, activation_bits);
}

std::vector<std::string> per_channel_depthwise(Graph& graph, const Widths& widths) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) {
    if (!is_weighted(node) || !graph.is_parameter(node.in[kWeights])) continue;
    Tensor<float>& weights = graph.tensor(node.in[kWeights]);
    if (groups_of(node) == 1 || weights.shape().c != 1) continue;
    const auto largest = [](std::span<const float> span) {
      double found = 0;
      for (const float w : span) found = std::max(found, std::abs(static_cast<double>(w)));
      return found;
    };
    const int bits = widths(node.in[kWeights]), finest = std::min(kContainerBits, kMostBits - bits);
    const QuantSpec whole = spec_for_clip(largest(weights.span()), bits, true);
    const std::size_t per_row = static_cast<std::size_t>(weights.count() / weights.shape().n);
    for (std::size_t row = 0; row < static_cast<std::size_t>(weights.shape().n); ++row) {
      const std::span<float> channel = weights.span().subspan(row * per_row, per_row);
      QuantSpec spec = spec_for_clip(largest(channel), bits, true);
      spec.frac = static_cast<std::int8_t>(std::min<int>(spec.frac, whole.frac + finest));
      for (float& w : channel) w = fake_quantize(w, spec, Rounding::half_away);
    }
    names.push_back(graph.name(node.in[kWeights]));
  }
  return names;
}

CalibrateResult calibrate(const Graph& graph, ImageSource& images, const CalibrateOptions& options,
                          const std::function<void(const std::string&, int, int)>& on_progress) {
  if (options.batch < 1) throw UsageError("calibrate: a step wants at least one image");
  return Calibration(images, options, on_progress).run(graph);
}

}  // namespace binade
