// Label maps from PNG files: their values, what is refused, their geometry.
#include "tests/datasets/label_fixture.hpp"

#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/dataset.hpp"
#include "tests/datasets/fixture.hpp"

namespace binade {
namespace {

using test::blocks;
using test::contains;
using test::message_of;
using test::palette_png;

std::string gray_png(const Pixels& map) {
  const cv::Mat mat(map.shape().h, map.shape().w, CV_8UC1, const_cast<std::uint8_t*>(map.data()));
  const auto bytes = test::encode(mat, ".png");
  return {bytes.begin(), bytes.end()};
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(LabelMap, PaletteAndGrayHoldTheSameNumbers) {
  Pixels map = blocks(13, 17, 12, 1, 2);
  map[5] = 255;
  EXPECT_TRUE(decode_label_map(bytes_of(palette_png(map))) == map);
  EXPECT_TRUE(decode_label_map(bytes_of(gray_png(map))) == map);
}

TEST(LabelMap, OtherFilesAreRefused) {
  const auto refuse = [](const std::string& file) {
    return message_of<DataError>([&] { decode_label_map(bytes_of(file)); });
  };
  const auto colors = test::encode(test::random_picture(8, 8, 1), ".png");
  EXPECT_TRUE(contains(refuse({colors.begin(), colors.end()}), "not colours"));
  const auto lossy = test::encode(test::random_picture(8, 8, 1), ".jpg");
  EXPECT_TRUE(contains(refuse({lossy.begin(), lossy.end()}), "PNG"));
  const auto wide = test::encode(cv::Mat(4, 4, CV_16UC1, cv::Scalar(300)), ".png");
  EXPECT_TRUE(contains(refuse({wide.begin(), wide.end()}), "16"));
  std::string cut = gray_png(blocks(64, 64, 12, 2, 1));
  cut.resize(cut.size() - 30);
  EXPECT_TRUE(contains(refuse(cut), "cut off"));
  // Every byte of the image data that is spoilt is found, or harmless to the pixels.
  const Pixels map = blocks(32, 32, 12, 3, 1);
  const std::string good = gray_png(map);
  for (std::size_t i = 8; i + 12 < good.size(); i += 7) {
    std::string spoilt = good;
    spoilt[i] = static_cast<char>(spoilt[i] ^ 0x55);
    try {
      const Pixels found = decode_label_map(bytes_of(spoilt));
      EXPECT_TRUE(found == map) << "byte " << i;
    } catch (const DataError&) {
      // as it should be
    }
  }
}

TEST(LabelMap, ValuesBecomeClassesOrAreNamed) {
  std::vector<std::int16_t> values(256, -1);
  values[7] = 0;
  values[8] = 1;
  values[0] = kIgnored;
  Pixels map(Shape{1, 1, 4, 1});
  map[0] = 8, map[1] = 7, map[2] = 0, map[3] = 8;
  const Pixels classes = to_classes(map, values);
  EXPECT_EQ(std::vector<int>(classes.span().begin(), classes.span().end()), (std::vector<int>{1, 0, kIgnored, 1}));
  map[1] = 33, map[2] = 34, map[3] = 34;
  const std::string message = message_of<DataError>([&] { to_classes(map, values); });
  EXPECT_TRUE(contains(message, "33 (1 pixels), 34 (2 pixels)")) << message;
}

TEST(LabelMap, StretchesByNearestCentres) {
  const Pixels map = blocks(9, 14, 19, 5, 1);
  for (const auto& [h, w] : {std::pair{18, 28}, {3, 7}, {9, 14}, {20, 5}}) {
    const Pixels found = resize_labels(map, h, w);
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        const int from_y = ((2 * y + 1) * 9 - 1) / (2 * h), from_x = ((2 * x + 1) * 14 - 1) / (2 * w);
        ASSERT_EQ(found[y * w + x], map[from_y * 14 + from_x]) << h << "x" << w << " at " << y << ", " << x;
      }
    }
  }
}

}  // namespace
}  // namespace binade
