// Mixes colours and images, and writes the pictures.
#include "datasets/overlay.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/drawn_set.hpp"

namespace binade {
namespace {

/// Of the image that shines through the colours.
constexpr int kImagePercent = 40;

}  // namespace

Pixels overlay(const Pixels& image, const Pixels& labels, const Pixels& predicted,
               std::span<const std::array<std::uint8_t, 3>> colors) {
  require(labels.shape() == predicted.shape(), "overlay: labels and predictions have one size");
  const int h = labels.shape().h, w = labels.shape().w;
  cv::Mat fitted;
  const cv::Mat original(image.shape().h, image.shape().w, CV_8UC3, const_cast<std::uint8_t*>(image.data()));
  cv::resize(original, fitted, {w, h}, 0, 0, h < image.shape().h ? cv::INTER_AREA : cv::INTER_LINEAR);
  Pixels out(Shape{1, h, 3 * w, 3});
  const auto paint = [&](int panel, int y, int x, std::uint8_t label) {
    const std::uint8_t* from = fitted.ptr(y) + 3 * x;
    std::uint8_t* to = out.data() + (std::int64_t{y} * 3 * w + panel * w + x) * 3;
    for (std::size_t c = 0; c < 3; ++c) {
      const int color = label < colors.size() ? colors[label][c] : 0;
      to[c] = static_cast<std::uint8_t>((kImagePercent * from[c] + (100 - kImagePercent) * color) / 100);
    }
  };
  for (int y = 0; y < h; ++y) {
    std::copy_n(fitted.ptr(y), 3 * w, out.data() + std::int64_t{y} * 9 * w);
    for (int x = 0; x < w; ++x) {
      paint(1, y, x, labels[std::int64_t{y} * w + x]);
      paint(2, y, x, predicted[std::int64_t{y} * w + x]);
    }
  }
  return out;
}

void write_overlays(LoadedImages& images, const Predictions& predictions, int count,
                    const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw DataError(fmt::format("cannot make the folder '{}': {}", folder.string(), error.message()));
  const Dataset& dataset = images.dataset();
  LabelledPixels scratch;
  for (int i = 0; i < std::min(count, static_cast<int>(predictions.maps.size())); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const DatasetItem& item = dataset.items[at];
    const Pixels image = decode_image(read_file(dataset.file(item)), Preprocessing::Color::rgb);
    const std::string name = std::filesystem::path(item.path).stem().string() + ".png";
    write_drawn_image(folder / name,
                      overlay(image, images.label_map(i, scratch), predictions.maps[at], dataset.colors));
  }
}

}  // namespace binade
