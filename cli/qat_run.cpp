// Options, images, progress and checkpoints of quantization-aware training.
#include "cli/qat_run.hpp"

#include <optional>

#include <fmt/format.h>

#include "cli/table_run.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/progress.hpp"
#include "core/io/atomic_file.hpp"
#include "datasets/metrics.hpp"
#include "qat/checkpoint.hpp"

namespace binade {
namespace {

const QatPreset& preset_of(const QatFlags& qat) {
  return find_by_name<QatPreset>("preset", qat.preset, qat_presets());
}

/// Keeps a run's state on disk, so that any moment may be the last.
class QatRun {
 public:
  explicit QatRun(const QatJob& job) : job_(job) {}

  QatResult run(const TrainCheckpoint* resume) {
    const std::int64_t per_epoch = job_.training.count() / job_.options.train.batch;
    const std::int64_t done = resume == nullptr ? 0 : resume->trainer.step;
    const std::int64_t steps = per_epoch * job_.options.train.epochs - done;
    Progress progress("train " + job_.name, std::max<std::int64_t>(0, steps) * job_.options.train.batch, "images");
    QatCallbacks callbacks;
    callbacks.on_step = [&](const TrainProgress& now) {
      progress.note(fmt::format("epoch {}/{}  loss {:.4f}{}", now.epoch + 1, now.epochs, now.loss, validation_text_));
      progress.advance(job_.options.train.batch);
    };
    if (job_.validation != nullptr) callbacks.validate = [this](const Graph& network) { return validate(network); };
    if (!job_.checkpoint.empty()) {
      callbacks.on_checkpoint = [this](const TrainCheckpoint& at, std::span<const TelemetryRow> rows) {
        keep(at, rows);
      };
    }
    QatOptions options = job_.options;
    if (job_.training.dataset().segmentation()) options.train.loss.ignore_label = kIgnored;
    return quantization_aware_train(job_.start, job_.model.graph, job_.training, options, callbacks, resume);
  }

 private:
  double validate(const Graph& network) {
    Executor<float> executor(network);
    const Predictions found =
        evaluate([&](View<const float> input) { return executor.forward(input); }, *job_.validation, EvaluateOptions{});
    const double value = headline(found);
    validation_text_ = fmt::format("  {} {:.2f}", job_.validation->segmentation() ? "mIoU" : "top-1", value);
    return value;
  }

  void keep(const TrainCheckpoint& at, std::span<const TelemetryRow> rows) const {
    save_training(job_.model, at, job_.checkpoint);
    const std::filesystem::path folder = job_.checkpoint.parent_path();
    write_file_atomically(folder / "metrics.csv", metrics_csv(at.metrics));
    write_file_atomically(folder / "telemetry.csv", telemetry_csv(rows));
  }

  const QatJob& job_;
  std::string validation_text_;
};

}  // namespace

QatOptions qat_options(const Method& method, const QatFlags& qat, const Flags& flags, std::uint64_t seed) {
  QatOptions options = preset_of(qat).make(method.weight_bits, method.activation_bits);
  Flags overlay;
  bind(overlay, options);
  flags.apply_to(overlay);
  options.train.seed = seed;
  return options;
}

PtqOptions start_options(const Method& method, const QatFlags& qat, const Flags& flags, std::uint64_t seed) {
  return ptq_options(method, qat.start.empty() ? std::string(preset_of(qat).start) : qat.start, flags, seed);
}

std::unique_ptr<TrainingLoader> read_training_images(const QatFlags& qat, const DataFlags& data, const Model& model,
                                                     bool labels, LoadedImages& evaluation,
                                                     std::vector<std::string>& notes) {
  DataFlags training = data;
  if (!qat.training_dataset.empty()) training.dataset = qat.training_dataset;
  Dataset dataset = open_training_data(training, qat.training_data);
  if (labels) {
    check_labels(dataset, model.graph.shape(model.graph.output()).c);
  } else {
    dataset = without_labels(std::move(dataset));
  }
  if (qat.training_images > 0) dataset = choose_images(dataset, qat.training_images, data.seed);
  auto loader = std::make_unique<TrainingLoader>(dataset, model.preprocessing, qat.augmentation, data.seed,
                                                 LoadOptions{.skip_bad_images = data.skip_bad_images});
  refuse_shared_images("training", loader->dataset(), loader->hashes(), data, evaluation, notes);
  return loader;
}

DataFlags calibration_flags(const QatFlags& qat, const DataFlags& data) {
  DataFlags calibration = data;
  if (!data.calibration_data.empty() || qat.training_data.empty()) return calibration;
  calibration.calibration_data = qat.training_data;
  if (!qat.training_dataset.empty()) calibration.dataset = qat.training_dataset;
  return calibration;
}

QatResult run_qat_job(const QatJob& job, bool resume) {
  std::optional<SavedTraining> saved;
  if (resume && std::filesystem::exists(job.checkpoint)) saved = load_training(job.checkpoint);
  try {
    return QatRun(job).run(saved ? &saved->checkpoint : nullptr);
  } catch (const UsageError& error) {
    if (job.checkpoint.empty() || !std::filesystem::exists(job.checkpoint)) throw;
    throw UsageError(
        fmt::format("{}\nThe last good checkpoint is kept in '{}'.", error.what(), job.checkpoint.string()));
  }
}

nlohmann::json details_of(const QatResult& result) {
  nlohmann::json details{{"steps", result.checkpoint.trainer.step},
                         {"settings", result.checkpoint.settings},
                         {"warnings", result.warnings},
                         {"metrics", nlohmann::json::array()}};
  for (const MetricsRow& row : result.checkpoint.metrics) {
    details["metrics"].push_back({{"step", row.step}, {"loss", row.loss}, {"learning_rate", row.learning_rate}});
  }
  return details;
}

}  // namespace binade
