// Writes preprocessing as one canonical line of text and reads it.
#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/model/model.hpp"

namespace binade {
namespace {

/// The word of an enumerator is the element at the enumerator's value.
template <class Enum>
std::string_view word(std::span<const std::string_view> words, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  require(index < words.size(), "no such preprocessing rule");
  return words[index];
}

template <class Enum>
void read_word(std::string_view key, std::string_view text, std::span<const std::string_view> words, Enum& value) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) throw DataError(unknown_name("preprocessing " + std::string(key), text, words));
  value = static_cast<Enum>(found - words.begin());
}

template <class Number>
void read_number(std::string_view key, std::string_view text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(static_cast<double>(value))) {
    throw DataError(fmt::format("preprocessing {}: '{}' is not a number", key, text));
  }
}

/// One number for all channels, or one per channel.
void read_channels(std::string_view key, std::string_view text, std::array<double, 3>& values) {
  const auto commas = std::count(text.begin(), text.end(), ',');
  if (commas != 0 && commas != 2) {
    throw DataError(fmt::format("preprocessing {}: '{}' is neither one number nor three with commas", key, text));
  }
  for (double& value : values) {
    const std::size_t comma = text.find(',');
    read_number(key, text.substr(0, comma), value);
    if (comma != std::string_view::npos) text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::span<const std::string_view> preprocessing_words(std::string_view key) {
  static constexpr std::array<std::string_view, 4> kResize{"none", "short_side", "shrink", "exact"};
  static constexpr std::array<std::string_view, 4> kInterpolation{"bilinear", "area", "cubic", "nearest"};
  static constexpr std::array<std::string_view, 3> kColor{"rgb", "bgr", "gray"};
  if (key == "resize") return kResize;
  if (key == "interpolation") return kInterpolation;
  if (key == "color") return kColor;
  return {};
}

std::string to_string(const Preprocessing& p) {
  // {:} prints the shortest decimal that reads back as the same double, so equal lines mean equal values.
  return fmt::format("resize={} size={} interpolation={} crop={}x{} color={} mean={},{},{} scale={},{},{}",
                     word(preprocessing_words("resize"), p.resize), p.size,
                     word(preprocessing_words("interpolation"), p.interpolation), p.crop_height, p.crop_width,
                     word(preprocessing_words("color"), p.color), p.mean[0], p.mean[1], p.mean[2], p.scale[0],
                     p.scale[1], p.scale[2]);
}

Preprocessing parse_preprocessing(std::string_view line, const Preprocessing& defaults) {
  static constexpr std::array<std::string_view, 7> kKeys{"resize", "size", "interpolation", "crop",
                                                         "color",  "mean", "scale"};
  Preprocessing p = defaults;
  while (!line.empty()) {
    const std::string_view pair = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(line.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::string_view key = pair.substr(0, pair.find('='));
    const std::string_view text = pair.substr(std::min(pair.size(), key.size() + 1));
    if (key == "resize") {
      read_word(key, text, preprocessing_words(key), p.resize);
    } else if (key == "interpolation") {
      read_word(key, text, preprocessing_words(key), p.interpolation);
    } else if (key == "color") {
      read_word(key, text, preprocessing_words(key), p.color);
    } else if (key == "size") {
      read_number(key, text, p.size);
    } else if (key == "crop") {
      const std::size_t cross = std::min(text.find('x'), text.size());
      read_number(key, text.substr(0, cross), p.crop_height);
      read_number(key, text.substr(std::min(text.size(), cross + 1)), p.crop_width);
    } else if (key == "mean") {
      read_channels(key, text, p.mean);
    } else if (key == "scale") {
      read_channels(key, text, p.scale);
    } else {
      throw DataError(unknown_name("preprocessing key", key, kKeys));
    }
  }
  return p;
}

}  // namespace binade
