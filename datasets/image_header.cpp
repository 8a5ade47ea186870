// Reads width and height where each format keeps them.
#include "datasets/image_header.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace binade {
namespace {

using Bytes = std::span<const std::byte>;

bool begins_with(Bytes file, std::string_view text, std::size_t offset = 0) {
  return file.size() >= offset + text.size() && std::memcmp(file.data() + offset, text.data(), text.size()) == 0;
}

std::int64_t big_endian(Bytes file, std::size_t at, std::size_t bytes) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::int64_t>(file[at + i]);
  return value;
}

std::int64_t little_endian(Bytes file, std::size_t at, std::size_t bytes) {
  std::int64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | std::to_integer<std::int64_t>(file[at + i]);
  return value;
}

/// A frame header is any of C0 to CF but C4 (Huffman tables), C8 (reserved) and CC (arithmetic conditioning)
/// [ITU T.81, table B.1].
bool begins_frame(std::int64_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

std::optional<StatedSize> size_of_jpeg(Bytes file) {
  std::optional<StatedSize> largest;
  for (std::size_t at = 2; at + 4 <= file.size();) {
    if (file[at] != std::byte{0xFF}) {
      ++at;  // entropy-coded bytes
      continue;
    }
    const std::int64_t marker = big_endian(file, at + 1, 1);
    if (marker == 0 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD9)) {
      at += marker == 0xFF ? 1 : 2;
      continue;
    }
    if (begins_frame(marker) && at + 9 <= file.size()) {
      const StatedSize size{.width = big_endian(file, at + 7, 2), .height = big_endian(file, at + 5, 2)};
      if (!largest || size.width * size.height > largest->width * largest->height) largest = size;
    }
    at += 2 + static_cast<std::size_t>(std::max<std::int64_t>(2, big_endian(file, at + 2, 2)));
  }
  return largest;
}

std::optional<StatedSize> size_of_webp(Bytes file) {
  if (begins_with(file, "VP8X", 12) && file.size() >= 30) {
    return StatedSize{.width = little_endian(file, 24, 3) + 1, .height = little_endian(file, 27, 3) + 1};
  }
  if (begins_with(file, "VP8L", 12) && file.size() >= 25) {
    const std::int64_t bits = little_endian(file, 21, 4);
    return StatedSize{.width = (bits & 0x3FFF) + 1, .height = (bits >> 14 & 0x3FFF) + 1};
  }
  if (begins_with(file, "VP8 ", 12) && file.size() >= 30) {
    return StatedSize{.width = little_endian(file, 26, 2) & 0x3FFF, .height = little_endian(file, 28, 2) & 0x3FFF};
  }
  return {};
}

std::optional<StatedSize> size_of_bmp(Bytes file) {
  if (file.size() < 26) return {};
  const std::int64_t header = little_endian(file, 14, 4);
  if (header == 12) return StatedSize{.width = little_endian(file, 18, 2), .height = little_endian(file, 20, 2)};
  const auto signed_extent = [&](std::size_t at) {
    return std::abs(
        std::int64_t{static_cast<std::int32_t>(little_endian(file, at, 4))});  // negative: from the top down
  };
  return StatedSize{.width = signed_extent(18), .height = signed_extent(22)};
}

}  // namespace

std::optional<StatedSize> stated_size(Bytes file) {
  if (begins_with(file, "\xFF\xD8")) return size_of_jpeg(file);
  if (begins_with(file, "\x89PNG\r\n\x1A\n") && file.size() >= 24) {
    return StatedSize{.width = big_endian(file, 16, 4), .height = big_endian(file, 20, 4)};
  }
  if (begins_with(file, "BM")) return size_of_bmp(file);
  if (begins_with(file, "RIFF") && begins_with(file, "WEBP", 8)) return size_of_webp(file);
  return {};
}

}  // namespace binade
