// Label maps that tests make, as pixels and as PNG files.
#pragma once

#include <gtest/gtest.h>
#include <png.h>

#include <string>
#include <vector>

#include "core/base/random.hpp"
#include "datasets/label_map.hpp"

namespace binade::test {

/// A map of blocks of random classes.
inline Pixels blocks(int height, int width, int classes, std::uint64_t seed, int block = 8) {
  Pixels map(Shape{1, height, width, 1});
  const Random random(seed, 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::uint64_t word = random.word(static_cast<std::uint64_t>(y / block * 1000 + x / block));
      map[y * width + x] = static_cast<std::uint8_t>(word % static_cast<std::uint64_t>(classes));
    }
  }
  return map;
}

/// A palette PNG whose colours are no hint of the indices: index i has the colour of 255 - i, 5, 5.
inline std::string palette_png(const Pixels& map) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(map.shape().w);
  image.height = static_cast<png_uint_32>(map.shape().h);
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = 256;
  std::vector<std::uint8_t> colors;
  for (int i = 0; i < 256; ++i) colors.insert(colors.end(), {static_cast<std::uint8_t>(255 - i), 5, 5});
  png_alloc_size_t size = 0;
  EXPECT_NE(png_image_write_to_memory(&image, nullptr, &size, 0, map.data(), 0, colors.data()), 0);
  std::string bytes(size, '\0');
  EXPECT_NE(png_image_write_to_memory(&image, bytes.data(), &size, 0, map.data(), 0, colors.data()), 0);
  bytes.resize(size);
  return bytes;
}

}  // namespace binade::test
