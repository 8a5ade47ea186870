// Every image below a folder, without labels: for calibration, verification and distillation.
#include "datasets/dataset.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

void collect(const fs::path& root, const fs::path& folder, Dataset& dataset) {
  for (const std::string& path : find_images(root, folder)) dataset.items.push_back({path, kNoLabel});
  for (const std::string& name : sub_folders(folder)) collect(root, folder / name, dataset);
}

}  // namespace

Dataset open_unlabelled(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  collect(options.root, options.root, dataset);
  return dataset;
}

}  // namespace binade
