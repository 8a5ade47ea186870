// What the first bytes of an image file promise: enough to refuse it before memory is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace binade {

/// Images of more pixels are refused: 8192 x 8192. Decoding takes some eight bytes per pixel.
inline constexpr std::int64_t kMostImagePixels = std::int64_t{1} << 26;

/// A size as a header states it.
struct StatedSize {
  std::int64_t width = 0, height = 0;
};

/// The size that a PNG, JPEG, BMP or WebP file states; nothing for other files and for headers that are cut off.
/// Of a JPEG the largest of its frames.
std::optional<StatedSize> stated_size(std::span<const std::byte> file);

}  // namespace binade
