// Street scenes that anybody can make: the 19 classes of Cityscapes, exact label maps, Cityscapes' layout of files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "core/base/random.hpp"
#include "datasets/label_map.hpp"

namespace binade {

struct StreetOptions {
  int train = 600, val = 100;     ///< scenes
  int height = 128, width = 256;  ///< pixels, 32 .. 2048
  std::uint64_t seed = 1;
  double difficulty = 1;  ///< 0 .. 3: scales noise, light, and how much the colours of things vary
  friend bool operator==(const StreetOptions&, const StreetOptions&) = default;
};

/// One scene, RGB {1, height, width, 3}, and what every pixel is, as Cityscapes' label ids (0 .. 33; the bonnet below
/// is 1, the ego vehicle). A function of its arguments alone.
LabelledPixels draw_street(int height, int width, double difficulty, Random random);

/// Writes leftImg8bit/{train,val}/streets/*_leftImg8bit.png, gtFine/{train,val}/streets/*_gtFine_labelIds.png and
/// generated.json (these options) below `root`, complete or not at all. The same options make the same bytes, for any
/// number of threads. Does nothing and returns false if `root` holds this very set already.
/// @throws UsageError for options out of range; DataError if `root` holds anything else, or cannot be written
bool generate_streets(const std::filesystem::path& root, const StreetOptions& options,
                      const std::function<void(int done, int total)>& progress = {});

}  // namespace binade
