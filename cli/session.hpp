// What commands share: opening networks and images, keeping evaluation clean, the output folder.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/bind.hpp"
#include "core/model/model_format.hpp"
#include "core/passes/load_weights.hpp"
#include "core/report/accuracy.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/loader.hpp"

namespace binade {

Format format_of(const std::string& name);

/// What --output and --input-size say. @throws UsageError for a size that is none
ReadOptions read_options(const NetworkFlags& network);
/// The model with the weights of --weights and the preprocessing that the flags overlay. @throws UsageError without
/// --model; DataError if the weights do not fit
Model open_network(const NetworkFlags& network, LoadedWeights* loaded = nullptr);
/// The model with what [preprocessing] overlays.
Model with_preprocessing(Model model, const NetworkFlags& network);
/// What identifies it in results: the SHA-256 of the file, or of the zoo's name.
std::string model_hash(const NetworkFlags& network);

/// The images of --data, --images of them; labels do not matter. @throws as open_evaluation_data
Dataset open_images(const DataFlags& data, const Model& model);
/// The images of --data, every label a class of the network. Generated ones are made when the folder is missing.
/// @throws UsageError without --data; DataError if images and network do not fit
Dataset open_evaluation_data(const DataFlags& data, const Model& model);
/// One part, "train" or "val", of a folder; generated images are made when the folder is missing.
Dataset open_part(const DataFlags& data, const std::filesystem::path& root, const std::string& split);
/// The images of `training_data`, or where that is empty of the training part of --data; all of them.
/// @throws UsageError if neither is there
Dataset open_training_data(const DataFlags& data, const std::string& training_data);
/// The images of --calibration-data, or of the training part of --data; all of them.
Dataset open_calibration_data(const DataFlags& data, const Model& model);

/// The calibration images of set 0, 1, ...: seeded choices. The default number is lowered to what there is.
Dataset chosen_calibration(const Dataset& all, const DataFlags& data, const Flags& flags, int set);

/// Names of the classes and a note that says which pixels were counted; nothing for a classification.
void describe_segmentation(const DataFlags& data, LoadedImages& images, AccuracyReport& report);

/// OUT/overlays/METHOD/*.png, as many as --overlays says. @throws UsageError if they are wanted without --out
void keep_overlays(const OutputFlags& output, const DataFlags& data, LoadedImages& images,
                   const Predictions& predictions);

/// Decodes them all, with a progress bar. @throws DataError naming every bad image, unless --skip-bad-images
std::unique_ptr<LoadedImages> read_images(const std::string& what, const Dataset& dataset, const DataFlags& data,
                                          const Model& model);
/// "3 images could not be read and were left out: ...", or nothing.
void note_bad_images(const std::string& what, LoadedImages& images, std::vector<std::string>& notes);

/// @throws DataError naming the images that are in both, or a line in `notes` with --allow-leakage. `use` is what the
/// others serve: "calibration", "training"
void refuse_shared_images(const std::string& use, const Dataset& others, std::span<const std::string> hashes,
                          const DataFlags& data, LoadedImages& evaluation, std::vector<std::string>& notes);

/// SHA-256 of an ordered list of image contents and labels.
std::string list_hash(LoadedImages& images);

/// Accuracy of whatever turns images into logits, with a progress bar.
Predictions evaluate_network(const std::string& method, const Network& network, LoadedImages& images, int batch);
/// The same of a float or fake-quantized graph.
Predictions evaluate_graph(const std::string& method, const Graph& graph, LoadedImages& images, int batch);

/// Fills config, hashes and machine. @shape calibration: one per calibration set
void describe_run(AccuracyReport& report, const Flags& flags, const NetworkFlags& network, const Model& model,
                  LoadedImages& evaluation, std::span<const std::unique_ptr<LoadedImages>> calibration = {});

/// @throws UsageError unless value >= 1
void check_positive(const char* flag, int value);

/// The folder of --out. Nothing is written if the flag is not given.
class OutputFolder {
 public:
  /// Creates it. @throws UsageError if it holds anything and neither --force nor `resume` is given; DataError if it
  /// cannot be made
  explicit OutputFolder(const OutputFlags& output, bool resume = false);
  explicit operator bool() const { return !path_.empty(); }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  void write(const std::string& name, const std::string& text) const;
  /// report.json, .csv, .md, .txt and .tex.
  void write_report(const AccuracyReport& report) const;

 private:
  std::filesystem::path path_;
};

}  // namespace binade
