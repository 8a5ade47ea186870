// Opening, subsets and checks that are the same for every kind of data set.
#include "datasets/dataset.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/shown.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

constexpr std::array<DatasetEntry, 7> kKinds{{
    {"imagenet", "val/<wnid>/*.JPEG, <wnid>/*.JPEG or flat; labels.csv, synsets.txt or 1000 wnids give the class",
     open_imagenet},
    {"folder", "a class per folder; classes.txt (index, name) or the sorted names give the class", open_folder},
    {"generated", "shapes and textures under clutter, written by this program in ImageNet layout", open_generated},
    {"camvid", "lists test.txt (or val.txt) and train.txt of lines 'image label-map'; classes.txt (index, name)",
     open_camvid},
    {"cityscapes", "leftImg8bit/val/CITY/*.png and gtFine/val/CITY/*_labelIds.png or *_labelTrainIds.png; 19 classes",
     open_cityscapes},
    {"generated-streets", "drawn street scenes of Cityscapes' classes, written by this program in its layout",
     open_generated_streets},
    {"images", "every image below the folder, without labels: to calibrate and verify", open_unlabelled},
}};

/// False for a link that leads nowhere or to itself: those who open it will say so.
bool leads_to_folder(const fs::directory_entry& entry) {
  std::error_code unreadable;
  return entry.is_directory(unreadable);
}

/// FNV-1a, 64 bits: a path's identity for the choice of subsets.
std::uint64_t hash_path(std::string_view path) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : path) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

std::span<const DatasetEntry> dataset_kinds() {
  return kKinds;
}

Dataset open_dataset(const DatasetOptions& options) {
  const DatasetEntry& entry = find_by_name("dataset kind", options.kind, dataset_kinds());
  if (options.images < 0)
    throw UsageError(fmt::format("{} images of a data set: wanted 0 (all) or more", options.images));
  if (!fs::exists(options.root)) {
    throw DataError(
        fmt::format("there is no folder '{}'; give the folder that holds the images of a data set of kind "
                    "'{}': {}",
                    options.root.string(), entry.name, entry.summary));
  }
  if (!fs::is_directory(options.root)) {
    throw DataError(fmt::format("'{}' is a file; a data set is a folder ('{}': {})", options.root.string(), entry.name,
                                entry.summary));
  }
  Dataset dataset = entry.open(options);
  dataset.kind = entry.name;
  if (dataset.items.empty()) {
    throw DataError(
        fmt::format("no images in '{}'; looked for .jpeg, .jpg, .png, .bmp and .webp files as '{}' keeps "
                    "them: {}",
                    options.root.string(), entry.name, entry.summary));
  }
  std::sort(dataset.items.begin(), dataset.items.end(),
            [](const DatasetItem& a, const DatasetItem& b) { return a.path < b.path; });
  return options.images == 0 ? dataset : choose_images(dataset, options.images, options.seed);
}

Dataset choose_images(const Dataset& dataset, int images, std::uint64_t seed) {
  const std::size_t total = dataset.items.size();
  if (images < 0 || static_cast<std::size_t>(images) > total) {
    throw UsageError(fmt::format("{} images wanted, but '{}' has {}", images, dataset.root.string(), total));
  }
  struct Ticket {
    std::uint64_t hash;
    std::size_t item;
    double turn;
  };
  std::map<int, std::vector<Ticket>> classes;
  for (std::size_t i = 0; i < total; ++i) {
    const std::uint64_t hash = Random(seed, hash_path(dataset.items[i].path)).word(0);
    classes[dataset.items[i].label].push_back({hash, i, 0});
  }
  // The k-th image of a class of m comes at the turn (k + u) / m: a class is drawn in even steps, out of step with the
  // other classes by its own u in [0, 1).
  std::vector<Ticket> order;
  for (auto& [label, tickets] : classes) {
    std::sort(tickets.begin(), tickets.end(),
              [](const Ticket& a, const Ticket& b) { return std::pair(a.hash, a.item) < std::pair(b.hash, b.item); });
    const double offset = Random(seed, static_cast<std::uint64_t>(label)).uniform();
    for (std::size_t k = 0; k < tickets.size(); ++k) {
      tickets[k].turn = (static_cast<double>(k) + offset) / static_cast<double>(tickets.size());
      order.push_back(tickets[k]);
    }
  }
  std::sort(order.begin(), order.end(),
            [](const Ticket& a, const Ticket& b) { return std::pair(a.turn, a.hash) < std::pair(b.turn, b.hash); });
  Dataset chosen = dataset;
  chosen.items.clear();
  for (int i = 0; i < images; ++i) chosen.items.push_back(dataset.items[order[static_cast<std::size_t>(i)].item]);
  return chosen;
}

void check_labels(const Dataset& dataset, int classes) {
  if (dataset.segmentation()) {
    if (static_cast<int>(dataset.classes.size()) <= classes) return;
    throw DataError(
        fmt::format("the network has {} classes, but the label maps of '{}' have {}; is this the data set "
                    "that the network was trained for?",
                    classes, dataset.root.string(), dataset.classes.size()));
  }
  std::vector<std::string> offenders;
  for (const DatasetItem& item : dataset.items) {
    if (item.label < 0 || item.label >= classes)
      offenders.push_back(fmt::format("{}: label {}", item.path, item.label));
  }
  if (offenders.empty()) return;
  if (std::all_of(dataset.items.begin(), dataset.items.end(),
                  [](const DatasetItem& item) { return item.label == kNoLabel; })) {
    throw DataError(
        fmt::format("the images of '{}' have no labels (data set of kind '{}'), so there is no accuracy to "
                    "tell; give labelled images of another kind",
                    dataset.root.string(), dataset.kind));
  }
  throw DataError(fmt::format(
      "the network has {} classes (0..{}), but {} of {} images of '{}' have another label; is "
      "this the data set that the network was trained for?{}",
      classes, classes - 1, offenders.size(), dataset.items.size(), dataset.root.string(), list_of(offenders)));
}

Dataset without_labels(Dataset dataset) {
  for (DatasetItem& item : dataset.items) {
    item.label = kNoLabel;
    item.label_map.clear();
  }
  dataset.label_values.clear();
  return dataset;
}

bool is_image_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return ending == ".jpeg" || ending == ".jpg" || ending == ".png" || ending == ".bmp" || ending == ".webp";
}

std::string list_of(std::span<const std::string> offenders) {
  std::string text;
  for (const std::string& offender : offenders) text += "\n  " + printable(offender);
  return text;
}

fs::path image_folder(const DatasetOptions& options) {
  const bool has_val = fs::is_directory(options.root / "val"), has_train = fs::is_directory(options.root / "train");
  if (options.split == "train" && has_train) return options.root / "train";
  if (has_val) return options.root / "val";
  if (has_train) {
    throw DataError(
        fmt::format("'{0}' has a folder 'train' but none called 'val'; give '{0}/train' if its images are "
                    "meant",
                    options.root.string()));
  }
  return options.root;
}

std::vector<std::string> find_images(const fs::path& root, const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    if (file->path().filename().string().starts_with(".")) continue;
    if (is_image_name(file->path()) && !leads_to_folder(*file)) {
      found.push_back(file->path().lexically_relative(root).generic_string());
    }
  }
  if (error) throw DataError(fmt::format("cannot read the folder '{}': {}", folder.string(), error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> sub_folders(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (leads_to_folder(*file) && !name.starts_with(".")) found.push_back(name);
  }
  if (error) throw DataError(fmt::format("cannot read the folder '{}': {}", folder.string(), error.message()));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> read_lines(const fs::path& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;
  const std::vector<std::byte> bytes = read_whole_file(path, "a list", kMostBytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line(text.substr(begin, end - begin));
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) line.pop_back();
    lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

}  // namespace binade
