// Networks, images and the output folder, with the checks that every command owes.
#include "cli/session.hpp"

#include <algorithm>
#include <regex>
#include <utility>

#include <fmt/format.h>

#include "cli/machine.hpp"
#include "cli/methods.hpp"
#include "cli/weights.hpp"
#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/progress.hpp"
#include "core/base/revision.hpp"
#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "core/io/atomic_file.hpp"
#include "datasets/leakage.hpp"
#include "datasets/overlay.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

int classes_of(const Model& model) {
  return model.graph.shape(model.graph.output()).c;
}

void check_count(const char* flag, int count) {
  if (count < 0) throw UsageError(fmt::format("--{}: {}; wanted is a number of images, or 0 for all", flag, count));
}

LoadOptions load_options(const DataFlags& data) {
  LoadOptions options{.skip_bad_images = data.skip_bad_images};
  if (data.resolution == "network") options.resolution = LoadOptions::Resolution::network;
  return options;
}

/// The part, held against the network's input.
Dataset open_for(const Model& model, const DataFlags& data, const fs::path& root, const std::string& split) {
  check_fits(model.preprocessing, model.graph.shape(model.graph.inputs().front()));
  return open_part(data, root, split);
}

}  // namespace

Format format_of(const std::string& name) {
  for (const FormatEntry& entry : formats()) {
    if (entry.name == name) return entry.format;
  }
  throw ContractError("a format that --format does not offer: " + name);
}

ReadOptions read_options(const NetworkFlags& network) {
  ReadOptions options{.output = network.output};
  if (network.input_size.empty()) return options;
  static const std::regex kGrammar("([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?");
  std::smatch match;
  if (!std::regex_match(network.input_size, match, kGrammar)) {
    throw UsageError(
        fmt::format("--input-size: '{}'; wanted are pixels, 224 or 360x480 (height x width)", network.input_size));
  }
  options.height = std::stoi(match[1]);
  options.width = std::stoi(match[match[2].matched ? 2 : 1]);
  return options;
}

Model open_network(const NetworkFlags& network, LoadedWeights* loaded) {
  if (network.model.empty()) {
    throw UsageError("--model is missing: wanted is an .onnx file, a checkpoint (.h5) or a name of the zoo");
  }
  return with_preprocessing(with_weights(load_model(network.model, read_options(network)), network, loaded), network);
}

Model with_preprocessing(Model model, const NetworkFlags& network) {
  std::string overlay;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) overlay += fmt::format("{}={} ", key, value);
  };
  add("resize", network.resize);
  add("size", network.size == 0 ? "" : std::to_string(network.size));
  add("interpolation", network.interpolation);
  add("color", network.color);
  add("mean", network.mean);
  add("scale", network.scale);
  try {
    model.preprocessing = parse_preprocessing(overlay, model.preprocessing);
  } catch (const DataError& error) {
    throw UsageError(error.what());  // the words came from flags
  }
  return model;
}

std::string model_hash(const NetworkFlags& network) {
  const std::string hash = fs::is_regular_file(network.model) ? sha256_file(network.model) : sha256_hex(network.model);
  if (network.weights.empty()) return hash;
  const std::string names = network.weights_names.empty() ? "" : sha256_file(network.weights_names);
  return sha256_hex(hash + sha256_file(network.weights) + network.weights_map + network.weights_part + names);
}

Dataset open_part(const DataFlags& data, const fs::path& root, const std::string& split) {
  if (data.dataset == "generated" && !fs::exists(root)) {
    Progress progress("generate images", data.generated.train + data.generated.val, "images");
    int before = 0;
    generate_images(root, data.generated, [&](int done, int) { progress.advance(done - std::exchange(before, done)); });
  }
  if (data.dataset == "generated-streets" && !fs::exists(root)) {
    Progress progress("draw streets", data.streets.train + data.streets.val, "scenes");
    int before = 0;
    generate_streets(root, data.streets, [&](int done, int) { progress.advance(done - std::exchange(before, done)); });
  }
  return open_dataset({.kind = data.dataset, .root = root, .split = split, .allow_outside = data.allow_outside});
}

Dataset open_images(const DataFlags& data, const Model& model) {
  if (data.data.empty()) throw UsageError("--data is missing: wanted is the folder of the evaluation images");
  check_count("images", data.images);
  const Dataset dataset = open_for(model, data, data.data, "val");
  return data.images == 0 ? dataset : choose_images(dataset, data.images, data.seed);
}

Dataset open_evaluation_data(const DataFlags& data, const Model& model) {
  Dataset dataset = open_images(data, model);
  check_labels(dataset, classes_of(model));
  return dataset;
}

Dataset open_training_data(const DataFlags& data, const std::string& training_data) {
  const std::string& root = training_data.empty() ? data.data : training_data;
  if (root.empty()) throw UsageError("--data is missing: wanted is the folder of the images, with train/ and val/");
  return open_part(data, root, "train");
}

Dataset open_calibration_data(const DataFlags& data, const Model& model) {
  check_count("calibration-images", data.calibration_images);
  if (!data.calibration_data.empty()) {
    return without_labels(open_for(model, data, data.calibration_data, "train"));
  }
  const fs::path root = data.data;
  const auto is_there = [&](const char* name) { return fs::exists(root / name); };
  if (!data.dataset.starts_with("generated") && !is_there("train") && !is_there("train.txt") &&
      !is_there("leftImg8bit/train")) {
    throw UsageError(
        fmt::format("--calibration-data is missing, and there is no train/ in '{}': calibration wants images "
                    "that are not evaluated",
                    data.data));
  }
  return without_labels(open_for(model, data, root, "train"));
}

std::unique_ptr<LoadedImages> read_images(const std::string& what, const Dataset& dataset, const DataFlags& data,
                                          const Model& model) {
  auto images = std::make_unique<LoadedImages>(dataset, model.preprocessing, load_options(data));
  const auto total = static_cast<int>(dataset.items.size());
  Progress progress(what, total, "images");
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

void describe_segmentation(const DataFlags& data, LoadedImages& images, AccuracyReport& report) {
  if (!images.segmentation()) return;
  report.classes = images.dataset().classes;
  report.notes.push_back(fmt::format("mIoU and pixels are counted at the resolution of {}; void is left out.",
                                     data.resolution == "network"
                                         ? fmt::format("the network's input, {}x{}", images.shape().h, images.shape().w)
                                         : "the label maps"));
}

void keep_overlays(const OutputFlags& output, const DataFlags& data, LoadedImages& images,
                   const Predictions& predictions) {
  check_count("overlays", data.overlays);
  if (data.overlays == 0 || predictions.maps.empty()) return;
  if (output.out.empty()) throw UsageError("--overlays: pictures want a folder; give --out");
  write_overlays(images, predictions, data.overlays, fs::path(output.out) / "overlays" / predictions.method);
}

void note_bad_images(const std::string& what, LoadedImages& images, std::vector<std::string>& notes) {
  if (images.bad().empty()) return;
  std::vector<std::string> lines;
  for (const BadImage& bad : images.bad()) lines.push_back(fmt::format("{}: {}", bad.path, bad.reason));
  notes.push_back(
      fmt::format("{} {} images could not be read and were left out:{}", lines.size(), what, list_of(lines)));
}

void refuse_shared_images(const std::string& use, const Dataset& others, std::span<const std::string> hashes,
                          const DataFlags& data, LoadedImages& evaluation, std::vector<std::string>& notes) {
  const std::vector<Overlap> overlaps = find_overlaps(hashes, evaluation.hashes());
  if (overlaps.empty()) return;
  std::vector<std::string> lines;
  for (const Overlap& overlap : overlaps) {
    lines.push_back(fmt::format("{} is {}", others.items[static_cast<std::size_t>(overlap.first)].path,
                                evaluation.dataset().items[static_cast<std::size_t>(overlap.second)].path));
  }
  const std::string counts = fmt::format("{} of {} evaluation images", overlaps.size(), evaluation.count());
  if (!data.allow_leakage) {
    throw DataError(
        fmt::format("{} are {} images, too, so that accuracy would flatter: give other images, or "
                    "--allow-leakage if you mean it{}",
                    counts, use, list_of(lines)));
  }
  notes.push_back(fmt::format("Leakage allowed: {} were seen by {}.", counts, use));
}

Dataset chosen_calibration(const Dataset& all, const DataFlags& data, const Flags& flags, int set) {
  const auto available = static_cast<int>(all.items.size());
  const bool is_default = !flags.is_set("calibration-images");
  const int wanted = data.calibration_images == 0 ? available
                     : is_default                 ? std::min(available, data.calibration_images)
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

Predictions evaluate_network(const std::string& method, const Network& network, LoadedImages& images, int batch) {
  Progress progress("evaluate " + method, images.count(), "images");
  int before = 0;
  return evaluate(network, images, {.method = method, .batch = batch, .progress = [&](int done, int) {
                                      progress.advance(done - std::exchange(before, done));
                                    }});
}

Predictions evaluate_graph(const std::string& method, const Graph& graph, LoadedImages& images, int batch) {
  Executor<float> executor(graph);
  return evaluate_network(
      method, [&](View<const float> input) { return executor.forward(input); }, images, batch);
}

OutputFolder::OutputFolder(const OutputFlags& output, bool resume) : path_(output.out) {
  if (path_.empty()) return;
  std::error_code error;
  if (fs::exists(path_) && !fs::is_directory(path_)) {
    throw UsageError(fmt::format("--out: '{}' is a file; wanted is a folder", output.out));
  }
  if (fs::is_directory(path_) && !fs::is_empty(path_) && !output.force && !resume) {
    throw UsageError(
        fmt::format("--out: '{}' holds files already; give another folder, or --force to overwrite", output.out));
  }
  fs::create_directories(path_, error);
  if (error) throw DataError(fmt::format("cannot create the folder '{}': {}", output.out, error.message()));
}

void describe_run(AccuracyReport& report, const Flags& flags, const NetworkFlags& network, const Model& model,
                  LoadedImages& evaluation, std::span<const std::unique_ptr<LoadedImages>> calibration) {
  report.config = flags.config();
  report.hashes = {{"model", model_hash(network)},
                   {"preprocessing", sha256_hex(to_string(model.preprocessing))},
                   {"evaluation", list_hash(evaluation)}};
  for (const auto& set : calibration) report.hashes["calibration"].push_back(list_hash(*set));
  report.hashes["config"] = sha256_hex(report.config.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  report.hashes["binary"] = sha256_file("/proc/self/exe");
  report.hashes["revision"] = revision();
  report.machine = machine_description();
  report.details["preprocessing"] = to_string(model.preprocessing);
  const std::string layers = to_string(layer_bits_of(flags));
  if (!layers.empty()) report.notes.push_back(fmt::format("Layers with other widths: {}.", layers));
}

void check_positive(const char* flag, int value) {
  if (value < 1) throw UsageError(fmt::format("--{}: {}; wanted is at least 1", flag, value));
}

void OutputFolder::write_report(const AccuracyReport& report) const {
  write("report.json", render(report, Format::json));
  write("report.csv", render(report, Format::csv));
  write("report.md", render(report, Format::md));
  write("report.txt", render(report, Format::text));
  write("report.tex", render(report, Format::latex));
}

void OutputFolder::write(const std::string& name, const std::string& text) const {
  if (*this) write_file_atomically(file(name), text);
}

}  // namespace binade
