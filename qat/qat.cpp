// Presets, and a training run with its quantizers watched.
#include "qat/qat.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/measure_batch_norm.hpp"
#include "core/passes/uncap_relu.hpp"

namespace binade {
namespace {

/// Few steps with small rates, taught by the float network: what helps when images are few and the start is good. The
/// softmax is so warm that all logits matter: on ResNet20 with 4 bits a temperature of 1 let them drift (6 dB instead
/// of 9). Eight bits leave little to gain and steps of their codes much to lose.
QatOptions best(int weight_bits, int) {
  QatOptions options;
  const double rate = weight_bits >= 8 ? 3e-4 : weight_bits > 4 ? 1e-3 : 4e-3;
  options.train = {.epochs = 4,
                   .batch = 32,
                   .schedule = {.name = "cosine", .learning_rate = rate, .warmup_epochs = 0.25},
                   .gradient_clip = 0,
                   .validate_epochs = 0,
                   .log_steps = 10,
                   .checkpoint_steps = 10,
                   .loss_jump = 4};
  options.train.update.optimizer.name = "adam";
  options.train.update.threshold_optimizer.name = "adam";
  options.train.update.weight_decay = 0;
  options.train.loss = {.labels = false, .distillation = 1, .temperature = 6};
  options.graph.quantizer = "tqt";
  options.threshold_learning_rate = 0.001;  // at 0.01 exponents flip back and forth at 4 bits
  options.rate_in_codes = true;
  return options;
}

QatOptions ti(int, int) {
  QatOptions options;
  options.train = {.epochs = 10,
                   .batch = 64,
                   .schedule = {.name = "cosine", .learning_rate = 1e-5, .warmup_epochs = 0},
                   .validate_epochs = 0,
                   .log_steps = 10,
                   .loss_jump = 4};
  options.train.update.weight_decay = 1e-4;
  options.graph = {.merge = true, .quantizer = "pact-ema", .uncap_relu = true, .snap = true};
  options.watch.bias_write_back_step = 85;
  return options;
}

/// Choi et al. regularise their clips by L2; how strongly they leave open. PaddleSlim's strength.
QatOptions pact(int weight_bits, int activation_bits) {
  QatOptions options = best(weight_bits, activation_bits);
  options.graph.quantizer = "pact";
  options.train.update.threshold_decay = 1e-4;
  return options;
}

/// The network with batch norms that hold the statistics of the first batch where they held none: by batch statistics,
/// an identity would be normalised away.
Graph with_statistics(const Graph& reference, TrainingSource& source, int batch) {
  const std::vector<std::string> identities = identity_batch_norms(reference);
  if (identities.empty() || source.count() < batch) return reference;
  source.start_epoch(0, batch);
  return measure_batch_norm(reference, identities, source.next().images);
}

constexpr std::array kPresets{
    QatPreset{"best", "learned thresholds, taught by the float network, from the best start", "best", best},
    QatPreset{"ti-qat", "TI's recipe: running ranges, SGD at 1e-5, labels", "tidl", ti},
    QatPreset{"pact", "clips learned with L2 on them, taught by the float network", "best", pact},
};

}  // namespace

std::span<const QatPreset> qat_presets() {
  return kPresets;
}

std::map<std::string, std::string> settings(const QatOptions& options) {
  const auto text = [](double value) { return fmt::format("{}", value); };
  const WatchOptions& watch = options.watch;
  return {{"quantizer", options.graph.quantizer},
          {"rate_in_codes", fmt::format("{}", options.rate_in_codes)},
          {"reestimate_batches", fmt::format("{}", options.reestimate_batches)},
          {"snap", fmt::format("{}", options.graph.snap)},
          {"merge", fmt::format("{}", options.graph.merge)},
          {"clipped", fmt::format("{}", options.graph.clipped)},
          {"uncap_relu", fmt::format("{}", options.graph.uncap_relu)},
          {"bias_write_back_step", fmt::format("{}", watch.bias_write_back_step)},
          {"threshold_learning_rate", text(options.threshold_learning_rate)},
          {"sample_steps", fmt::format("{}", watch.sample_steps)},
          {"hold_flips", fmt::format("{}", watch.hold_flips)},
          {"hold_margin", text(watch.hold_margin)},
          {"freeze_above", text(watch.oscillation.freeze_above)},
          {"release_below", text(watch.oscillation.release_below)}};
}

Graph with_reestimated_statistics(const Graph& training, TrainingSource& source, int epoch, int batch, int batches) {
  Executor<float> executor(training, {.mode = Mode::training});
  source.start_epoch(epoch, batch);
  for (int k = 0; k < batches; ++k) {
    for (std::size_t i = 0; i < training.nodes().size(); ++i) {
      const auto* norm = std::get_if<BatchNorm>(&training.nodes()[i].op);
      if (norm == nullptr) continue;
      BatchNorm averaging = *norm;
      averaging.frozen = false;
      averaging.momentum = 1.0 / (k + 1);
      executor.set_attributes(static_cast<int>(i), averaging);
    }
    executor.forward(source.next().images);
  }
  Graph result = training;
  for (const ValueId id : result.parameters()) {
    const std::span<const float> from = executor.parameter(id).span();
    std::copy(from.begin(), from.end(), result.tensor(id).span().begin());
  }
  return result;
}

QatResult quantization_aware_train(const Graph& start, const Graph& reference, TrainingSource& source,
                                   const QatOptions& options, const QatCallbacks& callbacks,
                                   const TrainCheckpoint* resume) {
  if (options.graph.merge && options.graph.quantizer != "pact-ema" && options.graph.quantizer != "fixed") {
    throw UsageError(fmt::format("batch norm is merged with the quantizers pact-ema and fixed only, not with {}",
                                 options.graph.quantizer));
  }
  Graph begin = options.graph.uncap_relu ? uncap_relu(start) : start;
  if (options.graph.snap) begin = with_snapped_weights(begin);
  const Graph first = options.graph.merge
                          ? merged_training_graph(begin, with_statistics(reference, source, options.train.batch))
                          : training_graph(begin, options.graph);
  const Graph& network = resume != nullptr ? resume->network : first;
  TrainOptions train_options = options.train;
  if (train_options.schedule.learning_rate > 0) {
    train_options.update.threshold_learning_rate_factor =
        options.threshold_learning_rate / train_options.schedule.learning_rate;
  }
  WatchOptions watch_options = options.watch;
  watch_options.seed = options.train.seed;
  watch_options.running_ranges = options.graph.quantizer == "pact-ema";
  watch_options.range_freeze_epoch = options.train.epochs / 2 + 1;
  watch_options.statistics_freeze_epoch = std::max(0, options.train.epochs / 2 - 1);
  QuantizerWatch watch(network, watch_options);
  TrainCallbacks inner{.on_step = callbacks.on_step, .validate = {}, .on_checkpoint = {}};
  if (callbacks.validate) {
    inner.validate = [&](const Graph& training) { return callbacks.validate(frozen_graph(training)); };
  }
  if (callbacks.on_checkpoint) {
    inner.on_checkpoint = [&](const TrainCheckpoint& at) { callbacks.on_checkpoint(at, watch.rows()); };
  }
  std::map<std::string, double> factors;
  if (options.rate_in_codes) factors = parameter_units(start);
  for (const QuantizerSite& site : quantizer_sites(first)) {
    const bool is_log2 = std::holds_alternative<Tqt>(first.nodes()[static_cast<std::size_t>(site.node)].op);
    if (site.learned && !is_log2) factors[first.name(*site.learned)] = first.tensor(*site.learned)[0];
  }
  TrainCheckpoint end =
      train(network, source, train_options, inner, resume,
            {.teacher = &reference, .observer = &watch, .settings = settings(options), .rate_factors = factors});
  if (options.reestimate_batches > 0) {
    if (source.count() / options.train.batch < options.reestimate_batches) {
      throw UsageError(fmt::format("reestimate_batches is {}, but an epoch has {} batches", options.reestimate_batches,
                                   source.count() / options.train.batch));
    }
    end.network = with_reestimated_statistics(end.network, source, options.train.epochs, options.train.batch,
                                              options.reestimate_batches);
  }
  return {.quantized = frozen_graph(end.network),
          .checkpoint = std::move(end),
          .telemetry = watch.rows(),
          .warnings = watch.warnings()};
}

}  // namespace binade
