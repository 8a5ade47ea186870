// Every image below a folder, without labels: for calibration, verification and distillation.
#include <algorithm>

#include "datasets/dataset.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

/// `above` are the folders on the way down as they are without links: a link to one of them would never end.
void collect(const fs::path& root, const fs::path& folder, std::vector<fs::path>& above, Dataset& dataset) {
  const fs::path real = fs::canonical(folder);
  if (std::find(above.begin(), above.end(), real) != above.end()) return;
  above.push_back(real);
  for (const std::string& path : find_images(root, folder)) dataset.items.push_back({path, kNoLabel});
  for (const std::string& name : sub_folders(folder)) collect(root, folder / name, above, dataset);
  above.pop_back();
}

}  // namespace

Dataset open_unlabelled(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  std::vector<fs::path> above;
  collect(options.root, options.root, above, dataset);
  return dataset;
}

}  // namespace binade
