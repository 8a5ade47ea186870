// Images with the checks that every job owes: they fit the network, and no image is on both sides.
#include "experiment/images.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/progress.hpp"
#include "core/base/revision.hpp"
#include "core/execute/executor.hpp"
#include "datasets/leakage.hpp"
#include "datasets/overlay.hpp"
#include "experiment/machine.hpp"
#include "experiment/notes.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

int classes_of(const Model& model) {
  return model.graph.shape(model.graph.output()).c;
}

void check_count(const char* flag, int count) {
  if (count < 0) throw UsageError(fmt::format("--{}: {}; wanted is a number of images, or 0 for all", flag, count));
}

LoadOptions load_options(const DataSource& data) {
  LoadOptions options{.skip_bad_images = data.skip_bad_images};
  if (data.resolution == "network") options.resolution = LoadOptions::Resolution::network;
  return options;
}

/// The part, held against the network's input.
Dataset open_for(const Model& model, const DataSource& data, const fs::path& root, const std::string& split,
                 const JobControl& control) {
  check_fits(model.preprocessing, model.graph.shape(model.graph.inputs().front()));
  return open_part(data.dataset, root, split, control);
}

}  // namespace

Dataset open_images(const DataSource& data, const Model& model, const JobControl& control) {
  if (data.data.empty()) throw UsageError("--data is missing: wanted is the folder of the evaluation images");
  check_count("images", data.images);
  if (data.bootstrap_block < 0) {
    throw UsageError(
        fmt::format("--bootstrap-block: {}; wanted are frames, or 0 to go by names", data.bootstrap_block));
  }
  const Dataset dataset = open_for(model, data, data.data, "val", control);
  return data.images == 0 ? dataset : choose_images(dataset, data.images, data.seed);
}

Dataset open_evaluation_data(const DataSource& data, const Model& model, const JobControl& control) {
  Dataset dataset = open_images(data, model, control);
  check_labels(dataset, classes_of(model));
  return dataset;
}

Dataset open_training_data(const DataSource& data, const std::string& training_data, const JobControl& control) {
  const std::string& root = training_data.empty() ? data.data : training_data;
  if (root.empty()) throw UsageError("--data is missing: wanted is the folder of the images, with train/ and val/");
  return open_part(data.dataset, root, "train", control);
}

Dataset open_calibration_data(const DataSource& data, const Model& model, const JobControl& control) {
  check_count("calibration-images", data.calibration_images);
  if (!data.calibration_data.empty()) {
    return without_labels(open_for(model, data, data.calibration_data, "train", control));
  }
  const fs::path root = data.data;
  if (!has_training_part(data.dataset, root)) {
    throw UsageError(
        fmt::format("--calibration-data is missing, and there is no train/ in '{}': calibration wants images "
                    "that are not evaluated",
                    data.data));
  }
  return without_labels(open_for(model, data, root, "train", control));
}

std::unique_ptr<LoadedImages> read_images(const std::string& what, const Dataset& dataset, const DataSource& data,
                                          const Model& model, const JobControl& control) {
  auto images = std::make_unique<LoadedImages>(dataset, model.preprocessing, load_options(data));
  const auto total = static_cast<int>(dataset.items.size());
  Progress progress(control, what, total, "images");
  constexpr int kStep = 25;
  if (!data.skip_bad_images) {  // else positions are known only when all are read
    for (int first = 0; first < total; first += kStep) {
      const int step = std::min(kStep, total - first);
      images->images(first, step);
      progress.advance(step);
    }
  }
  images->hashes();
  if (data.skip_bad_images) progress.advance(total);
  if (images->count() == 0) throw DataError(fmt::format("no image of '{}' could be read", dataset.root.string()));
  return images;
}

void describe_segmentation(const DataSource& data, LoadedImages& images, AccuracyReport& report) {
  if (!images.segmentation()) return;
  report.classes = images.dataset().classes;
  report.notes.push_back(fmt::format("mIoU and pixels are counted at the resolution of {}; void is left out.",
                                     data.resolution == "network"
                                         ? fmt::format("the network's input, {}x{}", images.shape().h, images.shape().w)
                                         : "the label maps"));
  note_missing_labels(images, report.notes);
}

void keep_overlays(const fs::path& folder, const DataSource& data, LoadedImages& images,
                   const Predictions& predictions) {
  check_count("overlays", data.overlays);
  if (data.overlays == 0 || predictions.maps.empty()) return;
  if (folder.empty()) throw UsageError("--overlays: pictures want a folder; give --out");
  write_overlays(images, predictions, data.overlays, folder / "overlays" / predictions.method);
}

void note_bad_images(const std::string& what, std::span<const BadImage> bad, std::vector<std::string>& notes) {
  if (bad.empty()) return;
  std::vector<std::string> lines;
  for (const BadImage& image : bad) lines.push_back(fmt::format("{}: {}", image.path, image.reason));
  notes.push_back(
      fmt::format("{} {} images could not be read and were left out:{}", lines.size(), what, list_of(lines)));
}

void refuse_shared_images(const std::string& use, const Dataset& others, std::span<const Identity> identities,
                          const DataSource& data, LoadedImages& evaluation, std::vector<std::string>& notes) {
  const auto pairs_of = [&](const std::vector<Overlap>& found, const char* relation) {
    std::vector<std::string> lines;
    for (const Overlap& overlap : found) {
      lines.push_back(fmt::format("{} {} {}", others.items[static_cast<std::size_t>(overlap.first)].path, relation,
                                  evaluation.dataset().items[static_cast<std::size_t>(overlap.second)].path));
    }
    return lines;
  };
  const std::vector<Overlap> alike = find_lookalikes(identities, evaluation.identities());
  if (!alike.empty()) {
    notes.push_back(
        fmt::format("{} of {} evaluation images look like {} images; if they are the same pictures, "
                    "accuracy flatters:{}",
                    alike.size(), evaluation.count(), use, list_of(pairs_of(alike, "looks like"))));
  }
  const std::vector<Overlap> overlaps = find_overlaps(contents_of(identities), contents_of(evaluation.identities()));
  if (overlaps.empty()) return;
  const std::vector<std::string> lines = pairs_of(overlaps, "is");
  const std::string counts = fmt::format("{} of {} evaluation images", overlaps.size(), evaluation.count());
  if (!data.allow_leakage) {
    throw DataError(
        fmt::format("{} are {} images, too, so that accuracy would flatter: give other images, or "
                    "--allow-leakage if you mean it{}",
                    counts, use, list_of(lines)));
  }
  notes.push_back(fmt::format("Leakage allowed: {} were seen by {}.", counts, use));
}

Dataset chosen_calibration(const Dataset& all, const DataSource& data, int set) {
  const auto available = static_cast<int>(all.items.size());
  const int wanted = data.calibration_images == 0     ? available
                     : !data.exact_calibration_images ? std::min(available, data.calibration_images)
                                                      : data.calibration_images;
  return choose_images(all, wanted, data.seed + static_cast<std::uint64_t>(set));
}

std::string list_hash(LoadedImages& images) {
  std::string text;
  const Dataset& dataset = images.dataset();
  for (std::size_t i = 0; i < dataset.items.size(); ++i) {
    const DatasetItem& item = dataset.items[i];
    text +=
        fmt::format("{} {}\n", images.hashes()[i],
                    item.label_map.empty() ? std::to_string(item.label) : sha256_file(dataset.root / item.label_map));
  }
  return sha256_hex(text);
}

Predictions evaluate_network(const std::string& method, const Network& network, LoadedImages& images, int batch,
                             const JobControl& control) {
  Progress progress(control, "evaluate " + method, images.count(), "images");
  int before = 0;
  return evaluate(network, images, {.method = method, .batch = batch, .progress = [&](int done, int) {
                                      progress.advance(done - std::exchange(before, done));
                                    }});
}

Predictions evaluate_graph(const std::string& method, const Graph& graph, LoadedImages& images, int batch,
                           const JobControl& control) {
  Executor<float> executor(graph);
  return evaluate_network(
      method, [&](View<const float> input) { return executor.forward(input); }, images, batch, control);
}

void describe_run(AccuracyReport& report, const RunInputs& inputs) {
  report.config = inputs.config;
  report.hashes = {{"model", model_hash(inputs.model)},
                   {"preprocessing", sha256_hex(to_string(inputs.model.preprocessing))},
                   {"evaluation", list_hash(inputs.evaluation)}};
  for (const auto& set : inputs.calibration) report.hashes["calibration"].push_back(list_hash(*set));
  report.hashes["config"] = sha256_hex(report.config.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  report.hashes["binary"] = sha256_file("/proc/self/exe");
  report.hashes["revision"] = revision();
  report.machine = machine_description();
  report.details["preprocessing"] = to_string(inputs.model.preprocessing);
  for (std::string& note : preprocessing_notes(inputs.model)) report.notes.push_back(std::move(note));
  const std::string layers = to_string(inputs.layer_bits);
  if (!layers.empty()) report.notes.push_back(fmt::format("Layers with other widths: {}.", layers));
}

}  // namespace binade
