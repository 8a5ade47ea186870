// From the bytes of an image file to the input of a network: decoding, resizing, cropping, augmentation, numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/base/random.hpp"
#include "core/base/tensor.hpp"
#include "core/model/model.hpp"
#include "datasets/identity.hpp"

namespace binade {

/// One decoded image {1, h, w, c}: 0..255, c = 3 in the order of a Preprocessing::Color, or 1 for gray.
using Pixels = Tensor<std::uint8_t>;

/// Channels of a colour order: 3, or 1 for gray.
int channels_of(Preprocessing::Color color);

/// What is wrong with the structure of a file, or nothing. Decoders fill the missing part of a truncated image with
/// gray and say nothing, so this walks the file: a JPEG's markers to its end marker, a PNG's chunks to IEND, the
/// sizes that BMP and WebP declare. "the file is empty", "JPEG is cut off: no end marker after 1234 bytes", ...
std::string find_damage(std::span<const std::byte> file);

/// Decodes JPEG, PNG, BMP or WebP by content. Gray files become equal channels; colour files become luma for
/// Color::gray; alpha is dropped, 16 bits become 8, the EXIF orientation is ignored as in every published protocol.
/// `identity`, where wanted, is that of the decoded pixels.
/// @throws DataError saying what is wrong with the bytes (the caller knows the name)
Pixels decode_image(std::span<const std::byte> file, Preprocessing::Color color, Identity* identity = nullptr);

/// Decodes, resizes and crops: {1, crop_height, crop_width, c}.
/// The long side of a short_side resize is rounded down [torchvision]; an image that would be smaller than the crop is
/// a DataError, except with `shrink`, which enlarges it to `size` first.
/// @throws DataError as decode_image, or saying that image and crop do not fit
Pixels prepare_image(std::span<const std::byte> file, const Preprocessing& preprocessing, Identity* identity = nullptr);

/// How a training image is varied.
struct Augmentation {
  bool random_crop = true;                            ///< else the resize and the centre crop of evaluation
  double area_min = 0.2, area_max = 1;                ///< of the crop, as a part of the image's area [docs/ti.md 6.5]
  double aspect_min = 3.0 / 4, aspect_max = 4.0 / 3;  ///< width / height, log-uniform
  bool flip = true;                                   ///< left-right, with probability 1/2
  /// Of an image with a label map, instead of area and aspect: factor on its size, log-uniform. The crop is placed at
  /// random with random_crop.
  double scale_min = 0.75, scale_max = 1.5;
  double rotation = 0;  ///< of an image with a label map: at most so many degrees to either side
};

/// A varied image {1, crop_height, crop_width, c} of a decoded one. Ten tries to place a crop, then the largest centred
/// crop of an allowed aspect [torchvision's RandomResizedCrop]. A function of its arguments alone.
Pixels augment(const Pixels& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
               Random random);

/// The size {1, h, w, c} of an image after the resize rule, before any crop.
Shape resized_shape(const Shape& image, const Preprocessing& preprocessing);

/// A decoded image after the resize rule, before any crop.
Pixels resize_by_rule(const Pixels& image, const Preprocessing& preprocessing);

/// The resize and centre crop of evaluation, of a decoded image.
Pixels resize_and_crop(const Pixels& image, const Preprocessing& preprocessing);

/// (pixel - mean) * scale by a table of the 256 values per channel, each rounded to float once.
class Normaliser {
 public:
  explicit Normaliser(const Preprocessing& preprocessing);
  /// out[i] for every element of pixels, same layout. @throws ContractError if sizes differ
  void operator()(std::span<const std::uint8_t> pixels, std::span<float> out) const;

 private:
  int channels_;
  std::array<std::array<float, 256>, 3> table_;
};

/// {1, crop_height, crop_width, c}: what the preprocessing makes.
Shape input_shape(const Preprocessing& preprocessing);

/// @throws DataError if the preprocessing makes another shape than the network's input wants, or cannot be carried out
void check_fits(const Preprocessing& preprocessing, Shape network_input);

}  // namespace binade
