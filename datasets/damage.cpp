// Walks the structure of image files, because decoders turn truncated images into half-gray ones without a word.
#include <algorithm>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "datasets/image_header.hpp"
#include "datasets/transforms.hpp"

namespace binade {
namespace {

using Bytes = std::span<const std::byte>;

unsigned at(Bytes file, std::size_t i) {
  return std::to_integer<unsigned>(file[i]);
}

std::size_t big_endian(Bytes file, std::size_t i, int bytes) {
  std::size_t value = 0;
  for (int k = 0; k < bytes; ++k) value = value << 8 | at(file, i + static_cast<std::size_t>(k));
  return value;
}

std::size_t little_endian(Bytes file, std::size_t i) {
  return at(file, i) | at(file, i + 1) << 8 | at(file, i + 2) << 16 | std::size_t{at(file, i + 3)} << 24;
}

bool begins_with(Bytes file, std::string_view text, std::size_t offset = 0) {
  return file.size() >= offset + text.size() && std::memcmp(file.data() + offset, text.data(), text.size()) == 0;
}

constexpr unsigned kStartOfScan = 0xDA, kEndOfImage = 0xD9, kRestart0 = 0xD0, kRestart7 = 0xD7, kRestartInterval = 0xDD;

/// Markers that may follow a scan or stand before one [ITU T.81, table B.1]: frames, tables, comments, application
/// data.
bool is_known_marker(unsigned marker) {
  return marker >= 0xC0 && marker != 0xD8 && marker != 0xFF;
}

/// Follows entropy-coded bytes to the next marker that is not a restart. False: the file ends, or the restarts are not
/// in their cyclic order.
bool skip_scan(Bytes file, std::size_t& position, bool has_restarts) {
  unsigned expected = kRestart0;
  while (position + 1 < file.size()) {
    const void* found = std::memchr(file.data() + position, 0xFF, file.size() - 1 - position);
    if (found == nullptr) return false;
    position = static_cast<std::size_t>(static_cast<const std::byte*>(found) - file.data());
    const unsigned marker = at(file, position + 1);
    if (marker == 0) {
      position += 2;
    } else if (marker == 0xFF) {
      ++position;  // a fill byte
    } else if (marker >= kRestart0 && marker <= kRestart7) {
      if (!has_restarts || marker != expected) return false;
      expected = marker == kRestart7 ? kRestart0 : marker + 1;
      position += 2;
    } else {
      return true;
    }
  }
  return false;
}

/// Every scan of a progressive JPEG goes over the whole image: a file of a few bytes could take hours.
std::string excess_of_scans(Bytes file, std::int64_t scans) {
  constexpr std::int64_t kMostScannedPixels = std::int64_t{1} << 30;
  const std::optional<StatedSize> size = stated_size(file);
  if (!size || scans <= 16 || scans * size->width * size->height <= kMostScannedPixels) return {};
  return fmt::format("the JPEG goes over its {}x{} pixels in {} scans; that would take too long", size->width,
                     size->height, scans);
}

std::string find_jpeg_damage(Bytes file) {
  std::size_t position = 2;
  bool has_restarts = false;
  std::int64_t scans = 0;
  const auto damaged = [&] {
    return fmt::format("the JPEG is cut off or damaged: {} bytes, and no end marker where the image data lead to",
                       file.size());
  };
  while (position + 1 < file.size()) {
    if (at(file, position) != 0xFF) return damaged();
    const unsigned marker = at(file, position + 1);
    if (marker == 0xFF) {
      ++position;
      continue;
    }
    if (marker == kEndOfImage) return scans > 0 ? excess_of_scans(file, scans) : "the JPEG holds no image data";
    if (!is_known_marker(marker) || position + 4 > file.size()) return damaged();
    const std::size_t length = big_endian(file, position + 2, 2);
    if (length < 2 || position + 2 + length > file.size()) return damaged();
    if (marker == kRestartInterval && length >= 4) has_restarts = big_endian(file, position + 4, 2) != 0;
    position += 2 + length;
    if (marker == kStartOfScan) {
      ++scans;
      if (!skip_scan(file, position, has_restarts)) return damaged();
    }
  }
  return damaged();
}

std::string find_png_damage(Bytes file) {
  std::size_t position = 8;
  while (position + 12 <= file.size()) {
    const std::size_t length = big_endian(file, position, 4);
    if (length > file.size() - position - 12) break;
    if (begins_with(file, "IEND", position + 4)) return {};
    position += 12 + length;
  }
  return fmt::format("the PNG is cut off: {} bytes without its last chunk", file.size());
}

std::string find_size_damage(Bytes file, std::string_view format, std::size_t declared) {
  if (declared <= file.size()) return {};
  return fmt::format("the {} is cut off: {} bytes of {}", format, file.size(), declared);
}

std::string find_excess(Bytes file) {
  const std::optional<StatedSize> size = stated_size(file);
  if (!size || (size->width <= kMostImagePixels && size->height <= kMostImagePixels &&
                size->width * size->height <= kMostImagePixels)) {
    return {};
  }
  return fmt::format("the image has {}x{} pixels (width x height); at most {} are decoded", size->width, size->height,
                     kMostImagePixels);
}

}  // namespace

std::string find_damage(Bytes file) {
  if (file.empty()) return "the file is empty";
  if (std::string excess = find_excess(file); !excess.empty()) return excess;
  if (begins_with(file, "\xFF\xD8")) return find_jpeg_damage(file);
  if (begins_with(file, "\x89PNG\r\n\x1A\n")) return find_png_damage(file);
  if (begins_with(file, "BM") && file.size() >= 6) return find_size_damage(file, "BMP", little_endian(file, 2));
  if (begins_with(file, "RIFF") && begins_with(file, "WEBP", 8)) {
    return find_size_damage(file, "WebP", little_endian(file, 4) + 8);
  }
  const bool is_zero = std::all_of(file.begin(), file.end(), [](std::byte byte) { return byte == std::byte{0}; });
  return is_zero ? "the file holds zeros only" : "not a JPEG, PNG, BMP or WebP file";
}

}  // namespace binade
