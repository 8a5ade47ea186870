// The images that a job looks at: opening them, keeping evaluation clean, describing them in a report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/report/accuracy.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/loader.hpp"
#include "datasets/source.hpp"
#include "experiment/methods.hpp"
#include "experiment/network.hpp"

namespace binade {

/// Which images.
struct DataSource {
  DatasetSource dataset;         ///< how they lie in their folders
  std::string data;              ///< folder of the evaluation images
  std::string calibration_data;  ///< empty: the training part of `data`
  int images = 0;                ///< 0: all
  int calibration_images = 256;
  bool exact_calibration_images = false;  ///< false: fewer where there are fewer
  bool skip_bad_images = false;
  std::string resolution = "labels";  ///< of a segmentation's pixels that are counted: labels or network
  int bootstrap_block = 0;            ///< frames of a video that intervals take as one; 0: by the images' names
  int overlays = 0;                   ///< pictures of a segmentation per method
  bool allow_leakage = false;
  std::uint64_t seed = 0;
};

/// The images of --data, --images of them; labels do not matter. @throws as open_evaluation_data
Dataset open_images(const DataSource& data, const Model& model, const JobControl& control = {});
/// The images of --data, every label a class of the network. Generated ones are made when the folder is missing.
/// @throws UsageError without --data; DataError if images and network do not fit
Dataset open_evaluation_data(const DataSource& data, const Model& model, const JobControl& control = {});
/// The images of `training_data`, or where that is empty of the training part of --data; all of them.
/// @throws UsageError if neither is there
Dataset open_training_data(const DataSource& data, const std::string& training_data, const JobControl& control = {});
/// The images of --calibration-data, or of the training part of --data; all of them.
Dataset open_calibration_data(const DataSource& data, const Model& model, const JobControl& control = {});

/// The calibration images of set 0, 1, ...: seeded choices. The default number is lowered to what there is.
Dataset chosen_calibration(const Dataset& all, const DataSource& data, int set);

/// Names of the classes and a note that says which pixels were counted; nothing for a classification.
void describe_segmentation(const DataSource& data, LoadedImages& images, AccuracyReport& report);

/// FOLDER/overlays/METHOD/*.png, as many as --overlays says. @throws UsageError if they are wanted without --out
void keep_overlays(const std::filesystem::path& folder, const DataSource& data, LoadedImages& images,
                   const Predictions& predictions);

/// Decodes them all, as a stage of progress. @throws DataError naming every bad image, unless --skip-bad-images
std::unique_ptr<LoadedImages> read_images(const std::string& what, const Dataset& dataset, const DataSource& data,
                                          const Model& model, const JobControl& control = {});
/// "3 images could not be read and were left out: ...", or nothing.
void note_bad_images(const std::string& what, std::span<const BadImage> bad, std::vector<std::string>& notes);

/// Images are told by their decoded pixels. Lookalikes are a line in `notes`.
/// @throws DataError naming the images that are in both, or a line in `notes` with --allow-leakage. `use` is what the
/// others serve: "calibration", "training"
void refuse_shared_images(const std::string& use, const Dataset& others, std::span<const Identity> identities,
                          const DataSource& data, LoadedImages& evaluation, std::vector<std::string>& notes);

/// SHA-256 of an ordered list of image contents and labels.
std::string list_hash(LoadedImages& images);

/// Accuracy of whatever turns images into logits, as a stage of progress.
Predictions evaluate_network(const std::string& method, const Network& network, LoadedImages& images, int batch,
                             const JobControl& control = {});
/// The same of a float or fake-quantized graph.
Predictions evaluate_graph(const std::string& method, const Graph& graph, LoadedImages& images, int batch,
                           const JobControl& control = {});

/// What a report says of where its figures come from.
struct RunInputs {
  nlohmann::ordered_json config;  ///< the settings, as the caller names them
  const Model& model;
  LoadedImages& evaluation;
  std::span<const std::unique_ptr<LoadedImages>> calibration = {};  ///< one per calibration set
  std::span<const LayerWidth> layer_bits = {};
};
/// Fills config, hashes and machine.
void describe_run(AccuracyReport& report, const RunInputs& inputs);

}  // namespace binade
