// Trains in float, validates and keeps checkpoints.
#include "experiment/train.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/io/atomic_file.hpp"
#include "core/models/models.hpp"
#include "core/passes/measure_batch_norm.hpp"
#include "datasets/metrics.hpp"
#include "experiment/timing.hpp"
#include "experiment/weights.hpp"
#include "qat/checkpoint.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

/// A file as it is; a network of the zoo with random parameters, or those of --weights, and the classes of the data.
Model starting_network(const NetworkSource& network, const TrainSettings& train, const Dataset& dataset,
                       std::uint64_t seed, LoadedWeights& loaded) {
  const auto is_it = [&](const ModelEntry& entry) { return entry.name == network.model; };
  const auto zoo = model_table();
  if (std::none_of(zoo.begin(), zoo.end(), is_it)) return open_network(network, &loaded);
  ModelOptions options{.seed = seed, .width = train.width, .classes = train.classes};
  if (options.classes == 0) options.classes = static_cast<int>(dataset.classes.size());
  const ReadOptions open = read_options(network);
  if (open.height != 0) options.input = {1, open.height, open.width, 3};
  Model model = build_model(network.model, options);
  model.classes = dataset.classes;
  return with_preprocessing(with_weights(std::move(model), network, &loaded), network);
}

/// Batch norms whose statistics were folded away get those of the first training images.
void measure_norms(Model& model, const LoadedWeights& loaded, TrainingLoader& loader) {
  if (loaded.identities.empty()) return;
  loader.start_epoch(0, std::min(64, loader.count()));
  model.graph = measure_batch_norm(model.graph, loaded.identities, loader.next().images);
}

/// What a pixel counts for, by class, so that rare classes are learned, too; classes that do not occur: nothing.
/// @source log: Paszke et al. 2016 (ENet); median: Eigen and Fergus 2015
std::vector<float> class_weights(const std::string& kind, std::vector<double> shares, int classes) {
  shares.resize(static_cast<std::size_t>(classes));
  std::vector<double> present;
  for (const double share : shares) {
    if (share > 0) present.push_back(share);
  }
  if (present.empty()) throw DataError("no pixel of the training images has a class");
  const double middle = median(present);
  std::vector<float> weights;
  for (const double share : shares) {
    const double weight = share == 0 ? 0 : kind == "log" ? 1 / std::log(1.02 + share) : middle / share;
    weights.push_back(static_cast<float>(weight));
  }
  return weights;
}

/// A run of train(), with its bar, validation and checkpoints.
class TrainRun {
 public:
  TrainRun(const TrainSettings& train, Model& model, LoadedImages& validation, const fs::path& folder,
           const JobControl& control)
      : train_(train), model_(model), validation_(validation), folder_(folder), control_(control) {}

  void run(TrainingLoader& loader, const TrainCheckpoint* resume) {
    const int done = resume == nullptr ? 0 : resume->epochs_done;
    const std::int64_t per_epoch = loader.count() / train_.options.batch * train_.options.batch;
    Progress progress(control_, "train", per_epoch * std::max(0, train_.options.epochs - done), "images");
    TrainCallbacks callbacks;
    callbacks.on_step = [&](const TrainProgress& now) {
      progress.note(fmt::format("epoch {}/{}  loss {:.3f}{}", now.epoch + 1, now.epochs, now.loss, validation_text_));
      progress.advance(train_.options.batch);
    };
    callbacks.validate = [this](const Graph& network) { return validate(network); };
    callbacks.on_checkpoint = [this](const TrainCheckpoint& checkpoint) { keep(checkpoint); };
    model_.graph = train(model_.graph, loader, train_.options, callbacks, resume).network;
  }

 private:
  double validate(const Graph& network) {
    Executor<float> executor(network);
    const Predictions found =
        evaluate([&](View<const float> input) { return executor.forward(input); }, validation_, EvaluateOptions{});
    const double value = headline(found);
    validation_text_ = fmt::format("  {} {:.2f}", validation_.segmentation() ? "mIoU" : "top-1", value);
    return value;
  }

  void keep(const TrainCheckpoint& checkpoint) {
    if (folder_.empty()) return;
    save_training(model_, checkpoint, folder_ / "network.h5");
    write_file_atomically(folder_ / "metrics.csv", metrics_csv(checkpoint.metrics));
  }

  const TrainSettings& train_;
  Model& model_;
  LoadedImages& validation_;
  const fs::path& folder_;
  const JobControl& control_;
  std::string validation_text_;
};

}  // namespace

TrainJobResult run(const TrainJob& job, const JobControl& control) {
  if (job.network.model.empty())
    throw UsageError("--model is missing: wanted is a name of the zoo, or a file to go on from");
  TrainSettings train = job.train;
  train.options.seed = job.data.seed;
  const Dataset training = open_training_data(job.data, train.training_data, control);
  LoadedWeights loaded;
  Model model = starting_network(job.network, train, training, job.data.seed, loaded);
  check_labels(training, model.graph.shape(model.graph.output()).c);
  if (training.segmentation()) train.options.loss.ignore_label = kIgnored;
  const Dataset evaluation = open_evaluation_data(job.data, model, control);
  const auto validation = read_images("read validation images", evaluation, job.data, model, control);
  TrainingLoader loader(training, model.preprocessing, train.augmentation, job.data.seed,
                        {.skip_bad_images = job.data.skip_bad_images});
  if (train.class_weights != "none") {
    if (!training.segmentation()) throw UsageError("--train.class-weights is for segmentation");
    train.options.loss.class_weights =
        class_weights(train.class_weights, loader.class_shares(), model.graph.shape(model.graph.output()).c);
  }
  AccuracyReport report;
  note_bad_images("validation", validation->bad(), report.notes);
  note_bad_images("training", loader.bad(), report.notes);
  refuse_shared_images("training", loader.dataset(), loader.identities(), job.data, *validation, report.notes);
  std::optional<SavedTraining> saved;
  if (job.resume) saved = saved_training(job.folder / "network.h5");
  if (!saved) measure_norms(model, loaded, loader);
  TrainRun(train, model, *validation, job.folder, control).run(loader, saved ? &saved->checkpoint : nullptr);

  Predictions predictions = evaluate_graph("float", model.graph, *validation, train.options.batch, control);
  report.rows = {accuracy_row(predictions, nullptr, job.data.bootstrap_block)};
  report.notes.insert(report.notes.begin(), fmt::format("n = {} images of '{}', trained on {} others.",
                                                        validation->count(), job.data.data, loader.count()));
  describe_segmentation(job.data, *validation, report);
  describe_run(report, {.config = job.config, .model = model, .evaluation = *validation});
  return {.model = std::move(model), .report = std::move(report), .columns = {std::move(predictions)}};
}

}  // namespace binade
