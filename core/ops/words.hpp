// The words of the ops' enumerations, in the order of their values: how they are printed, saved and exported.
#pragma once

#include <span>
#include <string_view>

#include "core/ops/ops.hpp"

namespace binade {

inline std::span<const std::string_view> words(Rounding) {
  return kRoundingNames;
}
inline std::span<const std::string_view> words(Interpolation) {
  static constexpr std::string_view kWords[] = {"nearest", "bilinear"};
  return kWords;
}
inline std::span<const std::string_view> words(Coordinates) {
  static constexpr std::string_view kWords[] = {"half_pixel", "align_corners", "asymmetric"};
  return kWords;
}
inline std::span<const std::string_view> words(GeluForm) {
  static constexpr std::string_view kWords[] = {"none", "tanh"};
  return kWords;
}

/// The word of a value.
template <class E>
requires requires(E e) {
  words(e);
}
std::string_view word_of(E value) {
  return words(value)[static_cast<std::size_t>(value)];
}

}  // namespace binade
