// What tells an image from others whatever its file: a hash of its decoded pixels, and a coarse one of how it looks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace binade {

struct Identity {
  std::string content;     ///< SHA-256 of size and pixels at the image's own size: equal for one image in two formats
  std::uint64_t look = 0;  ///< perceptual hash: images that look alike differ in few bits
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// @shape pixels: height x width x channels, channels as decoded (blue first)
Identity identity_of(std::span<const std::uint8_t> pixels, int height, int width, int channels);

std::vector<std::string> contents_of(std::span<const Identity> identities);

/// So many bits of two looks may differ in images that are "alike": the same picture compressed or scaled anew.
inline constexpr int kAlikeBits = 4;

}  // namespace binade
