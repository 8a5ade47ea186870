// Pictures of what a network said of a street: image, labels and predictions side by side, in the data set's colours.
#pragma once

#include <filesystem>

#include "core/report/predictions.hpp"
#include "datasets/dataset.hpp"
#include "datasets/loader.hpp"

namespace binade {

/// Three panels {1, h, 3 w, 3}: the image, its labels and the predictions laid over it; ignored pixels are black in the
/// labels. The image is stretched to the maps' size. @shape image: RGB {1, h', w', 3}; maps: {1, h, w, 1}
Pixels overlay(const Pixels& image, const Pixels& labels, const Pixels& predicted,
               std::span<const std::array<std::uint8_t, 3>> colors);

/// NAME.png of the first `count` images whose maps the predictions hold; folders are made. @throws DataError
void write_overlays(LoadedImages& images, const Predictions& predictions, int count,
                    const std::filesystem::path& folder);

}  // namespace binade
