// CamVid's layout as SegNet has it: lists of images and label maps, eleven classes and void.
#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "datasets/dataset.hpp"
#include "datasets/label_list.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

struct NamedColor {
  const char* name;
  std::array<std::uint8_t, 3> color;
};
/// @source SegNet's grouping of CamVid's 32 classes
constexpr std::array<NamedColor, 11> kCamvid{{{"sky", {128, 128, 128}},
                                              {"building", {128, 0, 0}},
                                              {"pole", {192, 192, 128}},
                                              {"road", {128, 64, 128}},
                                              {"pavement", {60, 40, 222}},
                                              {"tree", {128, 128, 0}},
                                              {"sign_symbol", {192, 128, 128}},
                                              {"fence", {64, 64, 128}},
                                              {"car", {64, 0, 128}},
                                              {"pedestrian", {64, 64, 0}},
                                              {"bicyclist", {0, 128, 192}}}};

/// A colour for any class, neighbours far apart.
std::array<std::uint8_t, 3> color_of(std::size_t label) {
  const auto channel = [&](std::size_t step) { return static_cast<std::uint8_t>(40 + label * step % 200); };
  return {channel(97), channel(151), channel(53)};
}

bool means_void(const std::string& name) {
  return name == "void" || name == "ignore" || name == "unlabelled" || name == "unlabeled";
}

/// Classes from classes.txt; a class called void does not count, nor does the value 255.
void read_classes(const fs::path& path, Dataset& dataset) {
  dataset.label_values.assign(256, -1);
  dataset.label_values[kIgnored] = kIgnored;
  if (!fs::is_regular_file(path)) {
    for (const NamedColor& entry : kCamvid) dataset.classes.emplace_back(entry.name);
    dataset.label_values[dataset.classes.size()] = kIgnored;
  } else {
    std::vector<std::string> names(256);
    for (const auto& [name, index] : read_class_list(path).index) {
      if (index > 255)
        throw DataError(fmt::format("'{}': '{}' is class {}; label maps hold 0 to 255", path.string(), name, index));
      if (means_void(name)) {
        dataset.label_values[static_cast<std::size_t>(index)] = kIgnored;
      } else {
        names[static_cast<std::size_t>(index)] = name;
      }
    }
    const auto end = std::find(names.begin(), names.end(), std::string());
    if (std::any_of(end, names.end(), [](const std::string& name) { return !name.empty(); })) {
      throw DataError(
          fmt::format("'{}': the classes are not 0, 1, 2 and so on; class {} is missing or void, and others "
                      "follow it",
                      path.string(), end - names.begin()));
    }
    dataset.classes.assign(names.begin(), end);
  }
  for (std::size_t label = 0; label < dataset.classes.size(); ++label) {
    dataset.label_values[label] = static_cast<std::int16_t>(label);
    const auto known = std::find_if(kCamvid.begin(), kCamvid.end(),
                                    [&](const NamedColor& entry) { return dataset.classes[label] == entry.name; });
    dataset.colors.push_back(known != kCamvid.end() ? known->color : color_of(label));
  }
}

/// Lists name files from where their maker had them ("/SegNet/CamVid/test/a.png"): the longest end of the path that is
/// below the root, or nothing. A path that leads up and out of the root is followed only if that is allowed.
std::string find_file(const DatasetOptions& options, const std::string& listed) {
  const fs::path& root = options.root;
  if (options.allow_outside && fs::is_regular_file(root / listed)) return listed;
  fs::path rest = fs::path(listed).relative_path().lexically_normal();
  while (!rest.empty() && *rest.begin() != "..") {
    if (fs::is_regular_file(root / rest)) return rest.generic_string();
    rest = rest.lexically_relative(*rest.begin());
    if (rest == ".") break;
  }
  return {};
}

fs::path find_list(const DatasetOptions& options) {
  const std::vector<std::string> names = options.split == "train" ? std::vector<std::string>{"train.txt"}
                                                                  : std::vector<std::string>{"test.txt", "val.txt"};
  for (const std::string& name : names) {
    if (fs::is_regular_file(options.root / name)) return options.root / name;
  }
  throw DataError(
      fmt::format("there is no {} in '{}': wanted a list of lines 'image label-map', both below that folder",
                  names.front(), options.root.string()));
}

}  // namespace

Dataset open_camvid(const DatasetOptions& options) {
  Dataset dataset;
  dataset.root = options.root;
  const fs::path list = find_list(options);
  read_classes(options.root / "classes.txt", dataset);
  std::vector<std::string> offenders;
  std::set<std::string> images;
  int number = 0;
  for (const std::string& line : read_lines(list)) {
    ++number;
    if (line.empty()) continue;
    std::istringstream words(line);
    std::string image, labels, more;
    words >> image >> labels;
    const auto offend = [&](const std::string& what) { offenders.push_back(fmt::format("line {}: {}", number, what)); };
    if (labels.empty() || words >> more) {
      offend(fmt::format("'{}' is not 'image label-map'", printable(line)));
      continue;
    }
    const std::string path = find_file(options, image), map = find_file(options, labels);
    if (path.empty()) offend(fmt::format("there is no '{}'", printable(image)));
    if (map.empty()) offend(fmt::format("there is no '{}'", printable(labels)));
    if (path.empty() || map.empty()) continue;
    if (!images.insert(path).second) {
      offend(fmt::format("'{}' is there twice", path));
      continue;
    }
    dataset.items.push_back({.path = path, .label_map = map});
  }
  if (!offenders.empty()) {
    throw DataError(
        fmt::format("the list '{}' cannot be used; wanted lines 'image label-map' of files below '{}' (files "
                    "elsewhere are read with --allow-outside){}",
                    list.string(), options.root.string(), list_of(offenders)));
  }
  return dataset;
}

}  // namespace binade
