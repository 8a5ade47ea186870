// A table over clips in quarter octaves: how the noise model stores the error of a channel.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace binade::noise_table {

inline constexpr int kLowest = -16, kOctaves = 32, kPerOctave = 4;
inline constexpr int kEntries = kOctaves * kPerOctave + 1;

/// The clip of an entry.
inline double clip_of(int entry) {
  return std::exp2(kLowest + static_cast<double>(entry) / kPerOctave);
}

/// The entry of log2(clip), linearly between neighbours; beyond the ends the end.
inline double lookup(std::span<const float> table, double log2_clip) {
  const double at = std::clamp((log2_clip - kLowest) * kPerOctave, 0.0, static_cast<double>(kEntries - 1));
  const auto below = static_cast<std::size_t>(std::min(at, static_cast<double>(kEntries - 2)));
  const double rest = at - static_cast<double>(below);
  return static_cast<double>(table[below]) * (1 - rest) + static_cast<double>(table[below + 1]) * rest;
}

}  // namespace binade::noise_table
