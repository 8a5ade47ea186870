// A network with everything needed to use it: graph, preprocessing, class names and where it came from.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// How an image file becomes the input tensor. Travels with the model and is hashed into every result.
struct Preprocessing {
  enum class Resize : std::uint8_t {
    none,        ///< as decoded
    short_side,  ///< scale so that the short side equals `size`
    shrink,      ///< short_side, but an image whose short side is already between the crop and `size` stays as it is
    exact,       ///< stretch to crop_height x crop_width
  };
  enum class Interpolation : std::uint8_t { bilinear, area, cubic, nearest };
  enum class Color : std::uint8_t { rgb, bgr, gray };

  Resize resize = Resize::shrink;
  int size = 256;                                         ///< of the short side, pixels
  Interpolation interpolation = Interpolation::bilinear;  ///< enlarging; shrinking always averages (area)
  int crop_height = 224, crop_width = 224;                ///< centre crop, offset (extent - crop) / 2 rounded down
  Color color = Color::rgb;
  /// input = (pixel - mean) * scale for pixel = 0..255, per channel in the order of `color`; gray uses the first.
  std::array<double, 3> mean{0, 0, 0};
  std::array<double, 3> scale{1, 1, 1};

  friend bool operator==(const Preprocessing&, const Preprocessing&) = default;
};

/// One line of "key=value" pairs in a fixed order and format: what is hashed, printed and compared.
std::string to_string(const Preprocessing& preprocessing);
/// The inverse, exactly; what the line leaves out is as in `defaults`. One number stands for all three channels.
/// @throws DataError for a key or word that does not exist, with the nearest, and for what is not a number
Preprocessing parse_preprocessing(std::string_view line, const Preprocessing& defaults = {});
/// The words that `resize`, `interpolation` or `color` may be; empty for other keys.
std::span<const std::string_view> preprocessing_words(std::string_view key);

enum class Task : std::uint8_t { classification, segmentation };

struct Model {
  std::string name;
  Graph graph;
  Preprocessing preprocessing;
  Task task = Task::classification;
  std::vector<std::string> classes;          ///< names; may be empty
  std::map<std::string, std::string> notes;  ///< anything else the file said: source, licence, published accuracy
};

}  // namespace binade
