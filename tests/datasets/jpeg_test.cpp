// JPEGs: the pixels of OpenCV, the warnings that OpenCV hides, and sizes that are refused before they take memory.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "datasets/image_header.hpp"
#include "datasets/jpeg.hpp"
#include "datasets/label_map.hpp"
#include "datasets/transforms.hpp"
#include "tests/datasets/fixture.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::as_bytes;
using test::contains;
using test::encode;
using test::message_of;
using test::random_picture;
using Color = Preprocessing::Color;

/// Pixels as OpenCV's own reader makes them.
Pixels by_opencv(const std::vector<unsigned char>& file, bool is_gray) {
  const cv::Mat image =
      cv::imdecode(file, (is_gray ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR) | cv::IMREAD_IGNORE_ORIENTATION);
  Pixels pixels(Shape{1, image.rows, image.cols, image.channels()});
  image.copyTo(cv::Mat(image.rows, image.cols, image.type(), pixels.data()));
  return pixels;
}

void expect_same_pixels(const std::vector<unsigned char>& file) {
  EXPECT_TRUE(decode_image(as_bytes(file), Color::bgr) == by_opencv(file, false));
  EXPECT_TRUE(decode_image(as_bytes(file), Color::gray) == by_opencv(file, true));
}

TEST(Jpeg, PixelsAreThoseOfOpencv) {
  for (const int quality : {30, 75, 95, 100}) {
    for (const int progressive : {0, 1}) {
      for (const int restart : {0, 3}) {
        const std::vector<int> settings{cv::IMWRITE_JPEG_QUALITY,      quality,
                                        cv::IMWRITE_JPEG_PROGRESSIVE,  progressive,
                                        cv::IMWRITE_JPEG_RST_INTERVAL, restart};
        expect_same_pixels(encode(random_picture(61, 83, 5), ".jpg", settings));
        expect_same_pixels(encode(random_picture(40, 17, 6, 1), ".jpg", settings));
      }
    }
  }
}

TEST(Jpeg, PixelsOfRealImagesAreThoseOfOpencv) {
  const fs::path root = testing_tools::shared_data();
  if (!fs::exists(root)) GTEST_SKIP() << "there is no shared data";
  int compared = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".JPEG" && entry.path().extension() != ".jpg") continue;
    if (++compared % 10 != 0) continue;
    const std::string bytes = [&] {
      std::ifstream file(entry.path(), std::ios::binary);
      return std::string((std::istreambuf_iterator<char>(file)), {});
    }();
    SCOPED_TRACE(entry.path());
    expect_same_pixels({bytes.begin(), bytes.end()});
    if (compared >= 600) break;
  }
  EXPECT_GT(compared, 0);
}

TEST(Jpeg, DamagedImageDataAreRefused) {
  for (const int progressive : {0, 1}) {
    const auto whole = encode(random_picture(120, 160, 8), ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, progressive});
    for (const int parts : {2, 3, 10}) {
      auto half = whole;  // a part is gone, the end marker is there
      half.resize(whole.size() - whole.size() / static_cast<std::size_t>(parts));
      half.push_back(0xFF);
      half.push_back(0xD9);
      const std::string message = message_of<DataError>([&] { decode_image(as_bytes(half), Color::rgb); });
      EXPECT_TRUE(contains(message, "damaged or cut off")) << message;
    }
  }
  auto gap = encode(random_picture(120, 160, 9), ".jpg");
  std::fill(gap.begin() + static_cast<std::ptrdiff_t>(gap.size() / 2),
            gap.begin() + static_cast<std::ptrdiff_t>(gap.size() / 2 + 40), static_cast<unsigned char>(0));
  EXPECT_THROW(decode_image(as_bytes(gap), Color::rgb), DataError);
}

void put_big_endian(std::vector<unsigned char>& file, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    file[at + static_cast<std::size_t>(i)] = static_cast<unsigned char>(value >> (24 - 8 * i));
}

TEST(ImageHeader, SizesAreReadWhereTheFormatsKeepThem) {
  for (const char* ending : {".png", ".jpg", ".bmp", ".webp"}) {
    const auto size = stated_size(as_bytes(encode(random_picture(31, 57, 1), ending)));
    ASSERT_TRUE(size.has_value()) << ending;
    EXPECT_EQ(size->width, 57) << ending;
    EXPECT_EQ(size->height, 31) << ending;
  }
  const auto lossless = encode(random_picture(31, 57, 1), ".webp", {cv::IMWRITE_WEBP_QUALITY, 101});
  ASSERT_TRUE(stated_size(as_bytes(lossless)).has_value());
  EXPECT_EQ(stated_size(as_bytes(lossless))->height, 31);
  EXPECT_FALSE(stated_size(as_bytes({'n', 'o'})).has_value());
}

TEST(ImageHeader, GiantsAreRefusedBeforeTheyTakeMemory) {
  auto png = encode(random_picture(8, 8, 1), ".png");
  put_big_endian(png, 16, 30000);
  put_big_endian(png, 20, 30000);
  const std::string message = message_of<DataError>([&] { decode_image(as_bytes(png), Color::rgb); });
  EXPECT_TRUE(contains(message, "30000x30000 pixels") && contains(message, "at most 67108864")) << message;
  EXPECT_THROW(decode_label_map(as_bytes(png)), DataError);
  put_big_endian(png, 16, 0xFFFFFFFFU);
  EXPECT_THROW(decode_image(as_bytes(png), Color::rgb), DataError);
  auto bmp = encode(random_picture(8, 8, 1), ".bmp");
  bmp[20] = 0x40;  // a width of more than four million
  bmp[24] = 0x40;
  EXPECT_TRUE(contains(message_of<DataError>([&] { decode_image(as_bytes(bmp), Color::rgb); }), "pixels (width"));
}

}  // namespace
}  // namespace binade
