// Options, images, progress and checkpoints of quantization-aware training.
#include "experiment/qat.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/execute/executor.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/checkpoint.hpp"
#include "core/passes/apply_target.hpp"
#include "datasets/metrics.hpp"
#include "experiment/quantize.hpp"
#include "qat/checkpoint.hpp"

namespace binade {
namespace {

const QatPreset& preset_of(const QatSettings& qat) {
  return find_by_name<QatPreset>("preset", qat.preset, qat_presets());
}

/// Keeps a run's state on disk, so that any moment may be the last.
class QatRun {
 public:
  QatRun(const QuantizedTraining& job, const JobControl& control) : job_(job), control_(control) {}

  QatResult run(const TrainCheckpoint* resume) {
    const std::int64_t per_epoch = job_.training.count() / job_.options.train.batch;
    const std::int64_t done = resume == nullptr ? 0 : resume->trainer.step;
    const std::int64_t steps = per_epoch * job_.options.train.epochs - done;
    Progress progress(control_, "train " + job_.name, std::max<std::int64_t>(0, steps) * job_.options.train.batch,
                      "images");
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

  void keep(const TrainCheckpoint& at, std::span<const TelemetryRow> rows) {
    if (job_.before_checkpoint && !std::exchange(kept_, true)) job_.before_checkpoint();
    save_training(job_.model, at, job_.checkpoint);
    const std::filesystem::path folder = job_.checkpoint.parent_path();
    write_file_atomically(folder / "metrics.csv", metrics_csv(at.metrics));
    write_file_atomically(folder / "telemetry.csv", telemetry_csv(rows));
  }

  const QuantizedTraining& job_;
  const JobControl& control_;
  std::string validation_text_;
  bool kept_ = false;
};

/// Calibration images; where no folder is given, training images.
std::unique_ptr<LoadedImages> read_calibration(const QatJob& job, const Model& model, LoadedImages& evaluation,
                                               std::vector<std::string>& notes, const JobControl& control) {
  const DataSource data = calibration_source(job.qat, job.data);
  const Dataset all = open_calibration_data(data, model, control);
  auto images = read_images("read calibration images", chosen_calibration(all, data, 0), data, model, control);
  note_bad_images("calibration", images->bad(), notes);
  refuse_shared_images("calibration", images->dataset(), images->identities(), data, evaluation, notes);
  return images;
}

std::filesystem::path file_in(const QatJob& job, const char* name) {
  return job.folder.empty() ? std::filesystem::path() : job.folder / name;
}

/// The quantized network to start from: of an earlier part of this run, or made now.
Graph starting_graph(const QatJob& job, const Method& method, const Model& model, LoadedImages& evaluation,
                     std::vector<std::string>& notes, const JobControl& control) {
  const std::filesystem::path file = file_in(job, "start.h5");
  if (job.resume && std::filesystem::exists(file)) return load_checkpoint(file).model.graph;
  const auto images = read_calibration(job, model, evaluation, notes, control);
  double seconds = 0;
  TableJob settings;
  settings.data.seed = job.data.seed;
  settings.qat = job.qat;
  settings.layer_bits = job.layer_bits;
  settings.ptq = job.ptq;
  const PtqResult quantized =
      quantize_with_progress("start", model.graph, *images, start_options(method, settings), seconds, control);
  return with_free_weights(quantized.quantized, quantized.reference);
}

/// Accuracy of float, start and result.
void add_rows(const QatJob& job, const Method& method, std::span<const Predictions> columns, double seconds,
              AccuracyReport& report) {
  for (const Predictions& column : columns) {
    AccuracyRow row =
        accuracy_row(column, column.method == "float" ? nullptr : &columns.front(), job.data.bootstrap_block);
    if (column.method != "float") {
      row.weight_bits = job.weight_bits;
      row.activation_bits = job.activation_bits;
    }
    if (column.method == method.name) row.quantize_seconds = seconds;
    report.rows.push_back(std::move(row));
  }
}

}  // namespace

QatOptions qat_options(const Method& method, const QatSettings& qat, std::uint64_t seed) {
  QatOptions options = patched(preset_of(qat).make(method.weight_bits, method.activation_bits), qat.patch);
  options.train.seed = seed;
  return options;
}

PtqOptions start_options(const Method& method, const TableJob& job) {
  TableJob start;
  start.preset = job.qat.start.empty() ? std::string(preset_of(job.qat).start) : job.qat.start;
  start.data.seed = job.data.seed;
  start.layer_bits = job.layer_bits;
  start.ptq = job.ptq;
  return ptq_options(method, start);
}

std::unique_ptr<TrainingLoader> read_training_images(const TrainingImages& wanted, LoadedImages& evaluation,
                                                     std::vector<std::string>& notes, const JobControl& control) {
  const QatSettings& qat = wanted.qat;
  const DataSource& data = wanted.data;
  DataSource training = data;
  if (!qat.training_dataset.empty()) training.dataset.kind = qat.training_dataset;
  Dataset dataset = open_training_data(training, qat.training_data, control);
  if (wanted.labels) {
    check_labels(dataset, wanted.model.graph.shape(wanted.model.graph.output()).c);
  } else {
    dataset = without_labels(std::move(dataset));
  }
  if (qat.training_images > 0) dataset = choose_images(dataset, qat.training_images, data.seed);
  auto loader = std::make_unique<TrainingLoader>(dataset, wanted.model.preprocessing, qat.augmentation, data.seed,
                                                 LoadOptions{.skip_bad_images = data.skip_bad_images});
  note_bad_images("training", loader->bad(), notes);
  refuse_shared_images("training", loader->dataset(), loader->identities(), data, evaluation, notes);
  return loader;
}

DataSource calibration_source(const QatSettings& qat, const DataSource& data) {
  DataSource calibration = data;
  if (!data.calibration_data.empty() || qat.training_data.empty()) return calibration;
  calibration.calibration_data = qat.training_data;
  if (!qat.training_dataset.empty()) calibration.dataset.kind = qat.training_dataset;
  return calibration;
}

QatResult train_quantized(const QuantizedTraining& job, bool resume, const JobControl& control) {
  std::optional<SavedTraining> saved;
  if (resume) saved = saved_training(job.checkpoint);
  try {
    return QatRun(job, control).run(saved ? &saved->checkpoint : nullptr);
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

QatJobResult run(const QatJob& job, const JobControl& control) {
  const Method method = method_of("qat", job.weight_bits, job.activation_bits);
  const QatOptions options = qat_options(method, job.qat, job.data.seed);
  const Model model = open_network(job.network);
  QatJobResult result{.model = model, .report = {}, .columns = {}};
  AccuracyReport& report = result.report;
  const Dataset dataset = open_evaluation_data(job.data, model, control);
  const auto evaluation = read_images("read evaluation images", dataset, job.data, model, control);
  note_bad_images("evaluation", evaluation->bad(), report.notes);
  const auto training =
      read_training_images({.qat = job.qat, .data = job.data, .model = model, .labels = options.train.loss.labels},
                           *evaluation, report.notes, control);
  const Graph start = starting_graph(job, method, model, *evaluation, report.notes, control);
  // The start is kept with the first checkpoint: a run that never got there leaves nothing behind.
  const auto keep_start = [&] {
    Model kept = model;
    kept.graph = start;
    save_checkpoint(kept, file_in(job, "start.h5"));
  };
  const auto begin = std::chrono::steady_clock::now();
  const QatResult trained =
      train_quantized({.name = method.name,
                       .model = model,
                       .start = start,
                       .training = *training,
                       .validation = options.train.validate_epochs > 0 ? evaluation.get() : nullptr,
                       .options = options,
                       .checkpoint = file_in(job, "training.h5"),
                       .before_checkpoint = keep_start},
                      job.resume, control);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.model.graph = apply_target(trained.quantized, job.target);

  const auto evaluated = [&](const std::string& name, const Graph& graph) {
    return evaluate_graph(name, graph, *evaluation, job.batch, control);
  };
  result.columns = {evaluated("float", model.graph), evaluated("start", apply_target(start, job.target)),
                    evaluated(method.name, result.model.graph)};
  add_rows(job, method, result.columns, seconds, report);
  report.details[method.name] = details_of(trained);
  report.notes.insert(report.notes.begin(), fmt::format("n = {} images of '{}', trained on {} others.",
                                                        evaluation->count(), job.data.data, training->count()));
  describe_segmentation(job.data, *evaluation, report);
  report.notes.insert(report.notes.end(), trained.warnings.begin(), trained.warnings.end());
  describe_run(report, {.config = job.config, .model = model, .evaluation = *evaluation, .layer_bits = job.layer_bits});
  result.model.notes["quantization"] = quantization_note(method.name, job.layer_bits);
  result.model.notes["target"] = job.target.name;
  return result;
}

}  // namespace binade
