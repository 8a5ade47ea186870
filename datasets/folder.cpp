// A class per folder, the class order from classes.txt or from the sorted names.
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "datasets/dataset.hpp"
#include "datasets/label_list.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

/// The folder of the class folders: a sub-folder "val" or "train" without folders of its own is a class, not a split.
fs::path class_root(const DatasetOptions& options) {
  for (const char* split : {"val", "train"}) {
    const fs::path folder = options.root / split;
    if (fs::is_directory(folder) && !sub_folders(folder).empty()) return image_folder(options);
  }
  return options.root;
}

}  // namespace

Dataset open_folder(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  const fs::path folder = class_root(options);
  ClassList classes;
  const fs::path absolute = fs::absolute(folder / "").lexically_normal().parent_path();
  for (const fs::path& place : {folder, absolute.parent_path()}) {
    // One level up belongs to this set only if the folder is a split of it.
    const bool is_split = folder != options.root || absolute.filename() == "val" || absolute.filename() == "train";
    if (place != folder && !is_split) continue;
    if (fs::is_regular_file(place / "classes.txt")) {
      classes = read_class_list(place / "classes.txt");
      break;
    }
  }
  std::vector<std::string> unknown;
  for (const std::string& name : sub_folders(folder)) {
    const std::vector<std::string> images = find_images(options.root, folder / name);
    if (classes.file.empty() && !images.empty()) {
      classes.index.emplace(name, static_cast<int>(classes.names.size()));
      classes.names.push_back(name);
    }
    const auto known = classes.index.find(name);
    if (known == classes.index.end()) {
      if (!images.empty()) unknown.push_back(fmt::format("{} ({} images)", name, images.size()));
      continue;
    }
    for (const std::string& path : images) dataset.items.push_back({path, known->second});
  }
  if (!unknown.empty()) {
    throw DataError(fmt::format("{} folders of '{}' are not in '{}'; every folder with images is a class{}",
                                unknown.size(), folder.string(), classes.file.string(), list_of(unknown)));
  }
  const std::vector<std::string> flat = find_images(options.root, folder);
  if (!flat.empty()) {
    throw DataError(fmt::format("{} images lie directly in '{}', outside of any class folder{}", flat.size(),
                                folder.string(), list_of(flat)));
  }
  dataset.classes = classes.names;
  return dataset;
}

}  // namespace binade
