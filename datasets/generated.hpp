// A classification set that anybody can make: shapes and textures under clutter, light, blur, noise and occlusion.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "core/base/random.hpp"
#include "datasets/transforms.hpp"

namespace binade {

struct GeneratedOptions {
  int classes = 10;              ///< 2 .. generated_classes().size(), the first of them
  int train = 5000, val = 1000;  ///< images in all; image i is of class i % classes
  int size = 64;                 ///< pixels, square, 16 .. 1024
  std::uint64_t seed = 1;
  /// 0: clean; scales clutter, contrast, noise, light, occlusion. At 1 tiny_mobilenet has 66 % after 6 epochs of 5000
  /// images and still climbs.
  double difficulty = 1;  ///< 0 .. 3
  bool png = false;       ///< lossless .png files instead of JPEG of quality 90
  friend bool operator==(const GeneratedOptions&, const GeneratedOptions&) = default;
};

/// Names by class index.
std::span<const std::string_view> generated_classes();

/// One image, RGB {1, size, size, 3}: a function of its arguments alone.
Pixels draw_generated(int label, int size, double difficulty, Random random);

/// Writes train/<class>/*.JPEG, val/<class>/*.JPEG, synsets.txt, labels.csv and generated.json (these options) below
/// `root`, which appears only when it is complete: the files are made in a folder beside it, which is then renamed, and
/// what a killed run left is removed. The same options make the same bytes, for any number of threads.
/// Does nothing and returns false if `root` holds this very set already.
/// @throws UsageError for options out of range; DataError if `root` holds anything else, or cannot be written
bool generate_images(const std::filesystem::path& root, const GeneratedOptions& options,
                     const std::function<void(int done, int total)>& progress = {});

}  // namespace binade
