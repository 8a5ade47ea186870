// Label maps: the class of every pixel, from the bytes of a PNG file to the geometry of a network's input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datasets/transforms.hpp"

namespace binade {

/// The values of a PNG file with one number per pixel, {1, h, w, 1}: gray levels as stored, or indices of the palette.
/// @throws DataError for a damaged file, for colours instead of numbers and for 16 bits
Pixels decode_label_map(std::span<const std::byte> file);

/// The map with its values replaced by classes. @shape values: 256, as Dataset::label_values
/// @throws DataError naming every value that stands for no class, and how many pixels have it
Pixels to_classes(Pixels map, std::span<const std::int16_t> values);

/// Resizes by nearest neighbour: each pixel takes the class at the nearest centre.
Pixels resize_labels(const Pixels& map, int height, int width);

/// The resize and centre crop of evaluation, by the map's own size.
/// @throws DataError if the crop does not fit
Pixels resize_and_crop_labels(const Pixels& map, const Preprocessing& preprocessing);

/// True if nothing of an image of this size is cropped, so that the network sees all that the map says.
bool keeps_everything(const Pixels& map, const Preprocessing& preprocessing);

/// How an image and its label map are varied together.
struct LabelledPixels {
  Pixels image;   ///< {1, crop_height, crop_width, c}
  Pixels labels;  ///< {1, crop_height, crop_width, 1}; kIgnored where the image ended
};
/// Both after the resize rule, of one size. Scaled, turned about its centre, shifted and flipped by one affine map:
/// bilinear for the image, nearest for the labels, so that no class is invented. Outside is the preprocessing's mean.
/// A function of its arguments alone.
LabelledPixels augment(const LabelledPixels& resized, const Preprocessing& preprocessing,
                       const Augmentation& augmentation, Random random);

}  // namespace binade
