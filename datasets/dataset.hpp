// Labelled lists of image files: what a data set is, the table of kinds, and seeded subsets.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.hpp"

namespace binade {

/// The label of an image that has none.
inline constexpr int kNoLabel = -1;
/// The class of a pixel that does not count.
inline constexpr std::uint8_t kIgnored = 255;

struct DatasetItem {
  std::string path;            ///< below the root, with '/'
  int label = 0;               ///< class index, or kNoLabel; means nothing where there is a label map
  std::string label_map = {};  ///< segmentation: a PNG file with a class per pixel, below the root
  friend bool operator==(const DatasetItem&, const DatasetItem&) = default;
};

/// An ordered list of labelled images. Opened in the order of the paths, whatever the file system's order is.
struct Dataset {
  std::string kind;  ///< a name of dataset_kinds()
  std::filesystem::path root;
  std::vector<DatasetItem> items;
  std::vector<std::string> classes;  ///< names by class index; may be longer than the classes that occur
  /// Segmentation: the class of each value that a label map holds, kIgnored, or -1 for a value that it must not hold.
  std::vector<std::int16_t> label_values = {};
  std::vector<std::array<std::uint8_t, 3>> colors = {};  ///< segmentation: RGB by class, for pictures

  bool segmentation() const { return !label_values.empty(); }
  std::filesystem::path file(const DatasetItem& item) const { return root / item.path; }
};

struct DatasetOptions {
  std::string kind = "imagenet";
  std::filesystem::path root;
  /// The folder of the root that is preferred when there is one: "val" (else the root itself) or "train" (else "val",
  /// else the root itself).
  std::string split = "val";
  int images = 0;  ///< 0: all of them, in path order; else that many, chosen and ordered by choose_images
  std::uint64_t seed = 0;
  bool allow_outside = false;  ///< lists may name files that lie outside of the root
};

/// One kind of data set.
struct DatasetEntry {
  std::string_view name, summary;
  Dataset (*open)(const DatasetOptions& options);  ///< the whole list, in path order
};

std::span<const DatasetEntry> dataset_kinds();

/// Reads the list of images; no image is opened.
/// @throws UsageError for an unknown kind or more images than there are; DataError for a missing folder, a folder
///   without images or a label list that cannot be understood, with every offending line or file
Dataset open_dataset(const DatasetOptions& options);

/// `images` items, stratified: of every class about its share (exactly the rounded share up to one image), chosen by
/// hashing (seed, path), so that neither the directory order nor other images decide. The choice of n is the beginning
/// of the choice of n + 1. @throws UsageError if there are fewer images
Dataset choose_images(const Dataset& dataset, int images, std::uint64_t seed);

/// Of a segmentation only the number of classes is known: a network may have more of them (one for void), not fewer.
/// @throws DataError naming every image whose label is not in [0, classes), or saying that there are no labels
void check_labels(const Dataset& dataset, int classes);

/// The same images as mere images, for those who do not want labels: calibration, verification, distillation.
Dataset without_labels(Dataset dataset);

/// True for the file name endings that are taken for images (.jpeg .jpg .png .bmp .webp, any case).
bool is_image_name(const std::filesystem::path& path);

/// One indented line per offender: how every message about several of them ends.
std::string list_of(std::span<const std::string> offenders);

// The kinds, one per file.
Dataset open_imagenet(const DatasetOptions& options);
Dataset open_folder(const DatasetOptions& options);
Dataset open_generated(const DatasetOptions& options);
Dataset open_unlabelled(const DatasetOptions& options);
Dataset open_camvid(const DatasetOptions& options);
Dataset open_cityscapes(const DatasetOptions& options);
Dataset open_generated_streets(const DatasetOptions& options);

// Shared by the kinds.

/// The folder that holds the images: root/<split> by the rule of DatasetOptions::split, or the root.
std::filesystem::path image_folder(const DatasetOptions& options);
/// Images of a folder, recursively or not, as sorted paths below `root`.
std::vector<std::string> find_images(const std::filesystem::path& root, const std::filesystem::path& folder);
/// Names of the direct sub-folders that are not hidden, sorted.
std::vector<std::string> sub_folders(const std::filesystem::path& folder);
/// The lines of a text file without line ends and trailing blanks. @throws DataError if it cannot be read
std::vector<std::string> read_lines(const std::filesystem::path& path);

}  // namespace binade
