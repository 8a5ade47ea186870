// ImageNet's layout: val/<wnid>/*.JPEG, <wnid>/*.JPEG, or flat with a list of labels.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "datasets/dataset.hpp"
#include "datasets/label_list.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

/// Without a list, the position of a wnid is its class only when all classes of ILSVRC2012 are there.
constexpr std::size_t kImagenetClasses = 1000;

fs::path normal(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

bool is_below(const fs::path& file, const fs::path& folder) {
  const auto [rest, unused] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return rest == folder.end();
}

/// Lists lie beside the class folders or one level up, next to "val".
LabelList find_label_list(const fs::path& folder, const std::string& split) {
  for (const fs::path& place : {folder, folder.parent_path()}) {
    for (const std::string& name : {std::string("labels.csv"), split + ".txt", std::string("labels.txt")}) {
      if (!fs::is_regular_file(place / name)) continue;
      LabelList list = read_label_list(place / name);
      // A list one level up may be about other folders.
      const bool concerns = std::any_of(list.entries.begin(), list.entries.end(),
                                        [&](const LabelList::Entry& entry) { return is_below(entry.file, folder); });
      if (concerns || place == folder) return list;
    }
  }
  return {};
}

ClassList find_class_list(const fs::path& folder) {
  for (const fs::path& place : {folder, folder.parent_path()}) {
    for (const char* name : {"synsets.txt", "synset_words.txt"}) {
      if (fs::is_regular_file(place / name)) return read_class_list(place / name);
    }
  }
  return {};
}

/// The sorted wnids stand for the classes if there are exactly 1000.
ClassList class_list_of(const std::vector<std::string>& folders) {
  ClassList list;
  for (const std::string& folder : folders) {
    list.index.emplace(folder, static_cast<int>(list.names.size()));
    list.names.push_back(folder);
  }
  return list;
}

/// Labels from the list of images: it and the folder must hold the same files.
void label_by_list(Dataset& dataset, const fs::path& folder, const LabelList& labels, const ClassList& classes) {
  std::map<fs::path, const LabelList::Entry*> entries;
  for (const LabelList::Entry& entry : labels.entries) {
    if (is_below(entry.file, folder)) entries.emplace(entry.file, &entry);
  }
  std::vector<std::string> unlisted, unknown;
  for (DatasetItem& item : dataset.items) {
    const auto found = entries.find(normal(dataset.file(item)));
    if (found == entries.end()) {
      unlisted.push_back(item.path);
      continue;
    }
    const LabelList::Entry& entry = *found->second;
    const auto known = classes.index.find(entry.wnid);
    item.label = entry.index >= 0 ? entry.index : known == classes.index.end() ? -1 : known->second;
    if (item.label < 0) unknown.push_back(fmt::format("{}: {}", item.path, entry.wnid));
    entries.erase(found);
  }
  const std::string file = labels.file.string();
  if (!unlisted.empty()) {
    throw DataError(
        fmt::format("{} images are in '{}', but not in the list '{}'; add them to the list or take them out "
                    "of the folder{}",
                    unlisted.size(), folder.string(), file, list_of(unlisted)));
  }
  if (!entries.empty()) {
    std::vector<std::string> missing;
    for (const auto& [path, entry] : entries) missing.push_back(path.string());
    throw DataError(fmt::format("{} images are in the list '{}', but not in '{}'{}", missing.size(), file,
                                folder.string(), list_of(missing)));
  }
  if (!unknown.empty()) {
    throw DataError(
        fmt::format("'{}' gives {} images a wnid whose class is not known; add a column class_index, or a "
                    "synsets.txt with lines 'index wnid names'{}",
                    file, unknown.size(), list_of(unknown)));
  }
}

/// Labels from the names of the folders.
void label_by_folder(Dataset& dataset, const fs::path& folder, const ClassList& classes) {
  std::map<std::string, int> unknown;
  std::vector<std::string> flat;
  for (DatasetItem& item : dataset.items) {
    const fs::path parent = normal(dataset.file(item)).parent_path();
    if (parent == folder) {
      flat.push_back(item.path);
      continue;
    }
    const auto known = classes.index.find(parent.filename().string());
    if (known == classes.index.end()) {
      ++unknown[parent.filename().string()];
    } else {
      item.label = known->second;
    }
  }
  if (!flat.empty()) {
    throw DataError(
        fmt::format("{} images lie directly in '{}' and nothing says their class; add a labels.csv (file, "
                    "wnid, class_index) or a labels.txt (file index){}",
                    flat.size(), folder.string(), list_of(flat)));
  }
  if (unknown.empty()) return;
  std::vector<std::string> offenders;
  for (const auto& [name, images] : unknown) offenders.push_back(fmt::format("{} ({} images)", name, images));
  if (classes.index.empty()) {
    throw DataError(
        fmt::format("'{}' has {} class folders, so their order does not say which of the {} classes they "
                    "are; add a synsets.txt (index wnid names) or a labels.csv (file, wnid, class_index), or "
                    "use the kind 'folder'{}",
                    folder.string(), unknown.size(), kImagenetClasses, list_of(offenders)));
  }
  throw DataError(fmt::format("{} class folders of '{}' are not in '{}'{}", unknown.size(), folder.string(),
                              classes.file.string(), list_of(offenders)));
}

}  // namespace

Dataset open_imagenet(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  const fs::path shown = image_folder(options), folder = normal(shown);
  const std::vector<std::string> folders = sub_folders(shown);
  for (const std::string& path : find_images(options.root, shown)) dataset.items.push_back({path, -1});
  for (const std::string& name : folders) {
    for (const std::string& path : find_images(options.root, shown / name)) dataset.items.push_back({path, -1});
  }
  if (dataset.items.empty()) return dataset;

  const LabelList labels = find_label_list(folder, options.split);
  ClassList classes = find_class_list(folder);
  if (classes.index.empty() && folders.size() == kImagenetClasses) classes = class_list_of(folders);
  dataset.classes = classes.names;
  if (labels.file.empty()) {
    label_by_folder(dataset, folder, classes);
    return dataset;
  }
  label_by_list(dataset, folder, labels, classes);
  if (dataset.classes.empty()) {
    for (const LabelList::Entry& entry : labels.entries) {
      const auto index = static_cast<std::size_t>(entry.index);
      if (index >= dataset.classes.size() && index < (1U << 20)) dataset.classes.resize(index + 1);
      if (index < dataset.classes.size()) dataset.classes[index] = entry.wnid;
    }
  }
  return dataset;
}

}  // namespace binade
