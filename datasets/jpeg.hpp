// JPEG through libjpeg-turbo's own interface, which says what the decoder had to make up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace binade {

/// Gives the memory for an image of height x width x channels bytes.
using PixelMemory = std::function<std::uint8_t*(int height, int width, int channels)>;

/// Decodes to blue, green, red or to luma, bit for bit as OpenCV does. False for an image of four components, which is
/// not converted here; its damage is found all the same.
/// @throws DataError for a file that cannot be decoded, and for one whose image data are damaged or cut off
bool decode_jpeg(std::span<const std::byte> file, bool is_gray, const PixelMemory& memory);

}  // namespace binade
