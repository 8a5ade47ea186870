// train: a network from the zoo or a file, trained in float, kept as a checkpoint after every epoch.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/weights.hpp"
#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/base/timing.hpp"
#include "core/execute/executor.hpp"
#include "core/models/models.hpp"
#include "core/passes/measure_batch_norm.hpp"
#include "core/report/predictions_file.hpp"
#include "datasets/metrics.hpp"
#include "qat/checkpoint.hpp"

namespace binade {
namespace {

/// A file as it is; a network of the zoo with random parameters, or those of --weights, and the classes of the data.
Model starting_network(const NetworkFlags& network, const TrainFlags& train, const Dataset& dataset, std::uint64_t seed,
                       LoadedWeights& loaded) {
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
  TrainRun(const TrainFlags& train, Model& model, LoadedImages& validation, const OutputFolder& out)
      : train_(train), model_(model), validation_(validation), out_(out) {}

  void run(TrainingLoader& loader, const TrainCheckpoint* resume) {
    const int done = resume == nullptr ? 0 : resume->epochs_done;
    const std::int64_t per_epoch = loader.count() / train_.options.batch * train_.options.batch;
    Progress progress("train", per_epoch * std::max(0, train_.options.epochs - done), "images");
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
    if (!out_) return;
    save_training(model_, checkpoint, out_.file("network.h5"));
    out_.write("metrics.csv", metrics_csv(checkpoint.metrics));
  }

  const TrainFlags& train_;
  Model& model_;
  LoadedImages& validation_;
  const OutputFolder& out_;
  std::string validation_text_;
};

}  // namespace

int run_train(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  DataFlags data;
  TrainFlags train;
  OutputFlags output;
  CommandLine flags("train");
  bind(flags, network);
  bind_evaluation(flags, data);
  bind(flags, train);
  bind(flags, output);
  bool resume = false;
  flags.add("resume", resume, "continue the run in --out, to the same bits as if it had never stopped");
  if (!flags.read(arguments)) return kDone;
  if (network.model.empty())
    throw UsageError("--model is missing: wanted is a name of the zoo, or a file to go on from");
  check_positive("train.epochs", train.options.epochs);
  check_positive("train.batch", train.options.batch);
  train.options.seed = data.seed;

  if (resume && output.out.empty()) throw UsageError("--resume continues the run in --out: which folder?");
  const OutputFolder out(output, resume);
  const Dataset training = open_training_data(data, train.training_data);
  LoadedWeights loaded;
  Model model = starting_network(network, train, training, data.seed, loaded);
  check_labels(training, model.graph.shape(model.graph.output()).c);
  if (training.segmentation()) train.options.loss.ignore_label = kIgnored;
  const Dataset evaluation = open_evaluation_data(data, model);
  const auto validation = read_images("read validation images", evaluation, data, model);
  TrainingLoader loader(training, model.preprocessing, train.augmentation, data.seed,
                        {.skip_bad_images = data.skip_bad_images});
  if (train.class_weights != "none") {
    if (!training.segmentation()) throw UsageError("--train.class-weights is for segmentation");
    train.options.loss.class_weights =
        class_weights(train.class_weights, loader.class_shares(), model.graph.shape(model.graph.output()).c);
  }
  AccuracyReport report;
  refuse_shared_images("training", loader.dataset(), loader.hashes(), data, *validation, report.notes);
  std::optional<SavedTraining> saved;
  if (resume && std::filesystem::exists(out.file("network.h5"))) saved = load_training(out.file("network.h5"));
  if (!saved) measure_norms(model, loaded, loader);
  TrainRun(train, model, *validation, out).run(loader, saved ? &saved->checkpoint : nullptr);

  const Predictions predictions = evaluate_graph("float", model.graph, *validation, train.options.batch);
  report.rows = {accuracy_row(predictions, nullptr)};
  report.notes.insert(report.notes.begin(), fmt::format("n = {} images of '{}', trained on {} others.",
                                                        validation->count(), data.data, loader.count()));
  describe_segmentation(data, *validation, report);
  describe_run(report, flags, network, model, *validation);
  out.write_report(report);
  out.write("config.cfg", flags.config_text());
  if (out) write_predictions(out.file("predictions.h5"), {predictions});
  fmt::print("{}", render(report, format_of(output.format)));
  return kDone;
}

}  // namespace binade
