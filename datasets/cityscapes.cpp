// Cityscapes' layout: leftImg8bit and gtFine by part and city, label ids or train ids, 19 classes.
#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "datasets/dataset.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

struct CityClass {
  const char* name;
  int id;  ///< in labelIds files; the position in this list is the train id
  std::array<std::uint8_t, 3> color;
};
/// @source Cityscapes' list of labels (Cordts et al. 2016)
constexpr std::array<CityClass, 19> kClasses{{{"road", 7, {128, 64, 128}},
                                              {"sidewalk", 8, {244, 35, 232}},
                                              {"building", 11, {70, 70, 70}},
                                              {"wall", 12, {102, 102, 156}},
                                              {"fence", 13, {190, 153, 153}},
                                              {"pole", 17, {153, 153, 153}},
                                              {"traffic_light", 19, {250, 170, 30}},
                                              {"traffic_sign", 20, {220, 220, 0}},
                                              {"vegetation", 21, {107, 142, 35}},
                                              {"terrain", 22, {152, 251, 152}},
                                              {"sky", 23, {70, 130, 180}},
                                              {"person", 24, {220, 20, 60}},
                                              {"rider", 25, {255, 0, 0}},
                                              {"car", 26, {0, 0, 142}},
                                              {"truck", 27, {0, 0, 70}},
                                              {"bus", 28, {0, 60, 100}},
                                              {"train", 31, {0, 80, 100}},
                                              {"motorcycle", 32, {0, 0, 230}},
                                              {"bicycle", 33, {119, 11, 32}}}};
constexpr int kMostIds = 34;  ///< ids 0 .. 33

constexpr std::string_view kImageEnd = "_leftImg8bit", kIdsEnd = "_gtFine_labelIds.png",
                           kTrainIdsEnd = "_gtFine_labelTrainIds.png";

void set_classes(Dataset& dataset, bool train_ids) {
  dataset.label_values.assign(256, -1);
  dataset.label_values[kIgnored] = kIgnored;
  if (!train_ids) std::fill_n(dataset.label_values.begin(), kMostIds, static_cast<std::int16_t>(kIgnored));
  for (std::size_t label = 0; label < kClasses.size(); ++label) {
    dataset.classes.emplace_back(kClasses[label].name);
    dataset.colors.push_back(kClasses[label].color);
    const auto value = train_ids ? label : static_cast<std::size_t>(kClasses[label].id);
    dataset.label_values[value] = static_cast<std::int16_t>(label);
  }
}

/// Throws when images have no labels.
void refuse_unlabelled(const DatasetOptions& options, const std::vector<std::string>& offenders,
                       const std::string& wanted) {
  if (offenders.empty()) return;
  throw DataError(fmt::format("{} images of '{}' have no label map; wanted {}{}", offenders.size(),
                              options.root.string(), wanted, list_of(offenders)));
}

/// images/NAME.* and labels/NAME.png, of train ids.
Dataset open_flat(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  std::vector<std::string> offenders;
  for (const std::string& path : find_images(options.root, options.root / "images")) {
    const std::string map = "labels/" + fs::path(path).stem().string() + ".png";
    if (!fs::is_regular_file(options.root / map)) offenders.push_back(path);
    dataset.items.push_back({.path = path, .label_map = map});
  }
  refuse_unlabelled(options, offenders, "labels/NAME.png with train ids for every images/NAME.*");
  set_classes(dataset, true);
  return dataset;
}

}  // namespace

Dataset open_cityscapes(const DatasetOptions& options) {
  if (!fs::exists(options.root / "leftImg8bit") && fs::is_directory(options.root / "images")) return open_flat(options);
  const std::string part = options.split == "train" ? "train" : "val";
  const fs::path images = options.root / "leftImg8bit" / part;
  if (!fs::is_directory(images)) {
    throw DataError(
        fmt::format("there is no '{}'; wanted is the folder that holds leftImg8bit/{}/CITY/*.png and "
                    "gtFine/{}/CITY/*_labelIds.png",
                    images.string(), part, part));
  }
  Dataset dataset;
  dataset.root = options.root;
  std::vector<std::string> paths = find_images(options.root, images), offenders;
  for (const std::string& city : sub_folders(images)) {
    const auto found = find_images(options.root, images / city);
    paths.insert(paths.end(), found.begin(), found.end());
  }
  // All label maps are of one kind: ids, which Cityscapes ships, or else train ids, which its scripts make.
  const auto map_of = [&](const std::string& path, std::string_view end) {
    const fs::path below = fs::path(path).lexically_relative("leftImg8bit");
    std::string name = below.stem().string();
    if (name.ends_with(kImageEnd)) name.resize(name.size() - kImageEnd.size());
    return (fs::path("gtFine") / below.parent_path() / (name + std::string(end))).generic_string();
  };
  const bool train_ids = std::none_of(paths.begin(), paths.end(), [&](const std::string& path) {
    return fs::is_regular_file(options.root / map_of(path, kIdsEnd));
  });
  for (const std::string& path : paths) {
    const std::string map = map_of(path, train_ids ? kTrainIdsEnd : kIdsEnd);
    if (!fs::is_regular_file(options.root / map)) offenders.push_back(path);
    dataset.items.push_back({.path = path, .label_map = map});
  }
  refuse_unlabelled(options, offenders, "gtFine/PART/CITY/NAME_gtFine_labelIds.png, or labelTrainIds, for all of them");
  set_classes(dataset, train_ids);
  return dataset;
}

}  // namespace binade
