// Hashes of decoded pixels: SHA-256 for equality, OpenCV's perceptual hash for likeness.
#include "datasets/identity.hpp"

#include <cstring>

#include <fmt/format.h>
#include <opencv2/img_hash.hpp>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"

namespace binade {

Identity identity_of(std::span<const std::uint8_t> pixels, int height, int width, int channels) {
  require(pixels.size() ==
              static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * static_cast<std::size_t>(channels),
          "identity_of: as many pixels as the size says");
  Identity identity;
  // The size goes in front: the same bytes in other rows are another image.
  identity.content = sha256_hex(fmt::format("{}x{}x{} {}", height, width, channels, sha256_hex(std::as_bytes(pixels))));
  const cv::Mat image(height, width, CV_8UC(channels), const_cast<std::uint8_t*>(pixels.data()));  // it only reads
  cv::Mat look;
  cv::img_hash::pHash(image, look);
  require(look.total() * look.elemSize() == sizeof identity.look, "identity_of: a perceptual hash has 64 bits");
  std::memcpy(&identity.look, look.data, sizeof identity.look);
  return identity;
}

std::vector<std::string> contents_of(std::span<const Identity> identities) {
  std::vector<std::string> contents;
  contents.reserve(identities.size());
  for (const Identity& identity : identities) contents.push_back(identity.content);
  return contents;
}

}  // namespace binade
