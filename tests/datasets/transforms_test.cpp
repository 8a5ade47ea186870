// Decoding, damage, the resize rules, crop offsets, numbers and augmentation.
#include "datasets/transforms.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/loader.hpp"
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
using Resize = Preprocessing::Resize;

Preprocessing crop_of(int height, int width, Resize resize, int size = 0) {
  Preprocessing p;
  p.resize = resize;
  p.size = size;
  p.crop_height = height;
  p.crop_width = width;
  return p;
}

/// Element (y, x, c) of BGR or gray `image` is element (y, x, order(c)) of `pixels`.
void expect_equal(const cv::Mat& image, const Pixels& pixels, Color color) {
  ASSERT_EQ(pixels.shape(), (Shape{1, image.rows, image.cols, image.channels()}));
  const int channels = image.channels();
  for (int y = 0; y < image.rows; ++y) {
    for (int x = 0; x < image.cols; ++x) {
      for (int c = 0; c < channels; ++c) {
        const int from = color == Color::rgb ? channels - 1 - c : c;
        ASSERT_EQ(image.ptr(y)[x * channels + from], pixels[(y * image.cols + x) * channels + c]);
      }
    }
  }
}

TEST(Decode, KeepsLosslessPixelsInEveryOrder) {
  const cv::Mat picture = random_picture(20, 31, 1);
  for (const char* ending : {".png", ".bmp"}) {
    const auto file = encode(picture, ending);
    expect_equal(picture, decode_image(as_bytes(file), Color::bgr), Color::bgr);
    expect_equal(picture, decode_image(as_bytes(file), Color::rgb), Color::rgb);
  }
  const cv::Mat gray = random_picture(9, 8, 2, 1);
  const auto file = encode(gray, ".png");
  expect_equal(gray, decode_image(as_bytes(file), Color::gray), Color::gray);
  const Pixels replicated = decode_image(as_bytes(file), Color::rgb);
  ASSERT_EQ(replicated.shape(), (Shape{1, 9, 8, 3}));
  for (int i = 0; i < 72; ++i) {
    for (int c = 0; c < 3; ++c) EXPECT_EQ(replicated[3 * i + c], gray.data[i]);
  }
}

TEST(Decode, IgnoresTheOrientation) {
  auto file = encode(random_picture(16, 40, 3), ".jpg");
  // An APP1 segment with EXIF orientation 6 (turn by 90 degrees), right behind the start marker.
  const std::string exif(
      "\xFF\xE1\x00\x22"
      "Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
      36);
  file.insert(file.begin() + 2, exif.begin(), exif.end());
  EXPECT_EQ(decode_image(as_bytes(file), Color::rgb).shape(), (Shape{1, 16, 40, 3}));
}

TEST(Damage, EveryTruncationIsFound) {
  for (const char* ending : {".jpg", ".png", ".bmp", ".webp"}) {
    const auto whole = encode(random_picture(40, 50, 4), ending);
    EXPECT_EQ(find_damage(as_bytes(whole)), "");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // A PNG whose last chunk lacks a part of its checksum is whole enough for no decoder either.
      ASSERT_NE(find_damage(as_bytes(whole).first(size)), "") << ending << " cut to " << size << " of " << whole.size();
    }
  }
  EXPECT_EQ(find_damage({}), "the file is empty");
}

TEST(Damage, KnowsTheKindsOfJpeg) {
  const cv::Mat picture = random_picture(100, 120, 5);
  for (const std::vector<int>& settings :
       {std::vector<int>{cv::IMWRITE_JPEG_PROGRESSIVE, 1}, std::vector<int>{cv::IMWRITE_JPEG_RST_INTERVAL, 3},
        std::vector<int>{cv::IMWRITE_JPEG_OPTIMIZE, 1}}) {
    auto file = encode(picture, ".jpg", settings);
    EXPECT_EQ(find_damage(as_bytes(file)), "");
    EXPECT_NE(find_damage(as_bytes(file).first(file.size() / 2)), "");
    file.insert(file.end(), {1, 2, 3, 0xFF});  // some cameras append their own data
    EXPECT_EQ(find_damage(as_bytes(file)), "");
  }
}

TEST(Damage, FindsForeignBytesInside) {
  auto jpeg = encode(random_picture(200, 200, 6), ".jpg");
  const Random random(1);
  for (std::size_t i = 0; i < 2000; ++i) jpeg[jpeg.size() / 3 + i] = static_cast<unsigned char>(random.word(i));
  EXPECT_NE(find_damage(as_bytes(jpeg)), "");
  const std::vector<unsigned char> zeros(5000), text(5000, 'x');
  EXPECT_EQ(find_damage(as_bytes(zeros)), "the file holds zeros only");
  EXPECT_TRUE(contains(message_of<DataError>([&] { decode_image(as_bytes(text), Color::rgb); }), "not a JPEG"));
}

TEST(Damage, SurvivesEveryMutation) {
  const cv::Mat picture = random_picture(24, 24, 7);
  Random random(20);
  int refused = 0, total = 0;
  for (const char* ending : {".jpg", ".png", ".bmp", ".webp"}) {
    const auto whole = encode(picture, ending);
    for (int round = 0; round < 400; ++round) {
      auto file = whole;
      for (std::uint64_t k = 0; k <= random.below(6); ++k) {
        file[random.below(file.size())] = static_cast<unsigned char>(random.next());
      }
      if (random.below(3) == 0) file.resize(random.below(file.size()));
      ++total;
      try {
        EXPECT_GT(decode_image(as_bytes(file), Color::rgb).count(), 0);
      } catch (const DataError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, total / 3);  // the truncated third at least
  EXPECT_LT(refused, total);
}

TEST(Prepare, CropsAtTheOffsetRoundedDown) {
  const cv::Mat picture = random_picture(13, 18, 8);
  const auto file = encode(picture, ".png");
  // (13 - 8) / 2 = 2, (18 - 9) / 2 = 4
  expect_equal(picture(cv::Rect(4, 2, 9, 8)).clone(), prepare_image(as_bytes(file), crop_of(8, 9, Resize::none)),
               Color::rgb);
}

TEST(Prepare, FollowsTheResizeRules) {
  const auto shape_after = [](int height, int width, Resize rule, int size, int crop) {
    const auto file = encode(random_picture(height, width, 9), ".png");
    return resize_and_crop(decode_image(as_bytes(file), Color::rgb), crop_of(crop, crop, rule, size));
  };
  const cv::Mat picture = random_picture(100, 151, 10);
  const auto file = encode(picture, ".png");
  const auto reference = [&](int height, int width, int crop, int method) {
    cv::Mat resized;
    cv::resize(picture, resized, cv::Size(width, height), 0, 0, method);
    return resized(cv::Rect((width - crop) / 2, (height - crop) / 2, crop, crop)).clone();
  };
  // Shrinking averages; the long side is rounded down: 151 * 50 / 100 = 75.5.
  expect_equal(reference(50, 75, 40, cv::INTER_AREA),
               prepare_image(as_bytes(file), crop_of(40, 40, Resize::short_side, 50)), Color::rgb);
  // Enlarging follows the interpolation: 151 * 130 / 100 = 196.3.
  Preprocessing enlarge = crop_of(120, 120, Resize::short_side, 130);
  expect_equal(reference(130, 196, 120, cv::INTER_LINEAR), prepare_image(as_bytes(file), enlarge), Color::rgb);
  enlarge.interpolation = Preprocessing::Interpolation::cubic;
  expect_equal(reference(130, 196, 120, cv::INTER_CUBIC), prepare_image(as_bytes(file), enlarge), Color::rgb);
  // shrink: between crop and size nothing happens; above it shrinks, below the crop it enlarges to the size.
  expect_equal(picture(cv::Rect(30, 5, 90, 90)).clone(),
               prepare_image(as_bytes(file), crop_of(90, 90, Resize::shrink, 100)), Color::rgb);
  expect_equal(reference(99, 149, 90, cv::INTER_AREA),
               prepare_image(as_bytes(file), crop_of(90, 90, Resize::shrink, 99)), Color::rgb);
  expect_equal(reference(130, 196, 110, cv::INTER_LINEAR),
               prepare_image(as_bytes(file), crop_of(110, 110, Resize::shrink, 130)), Color::rgb);
  // exact stretches.
  cv::Mat stretched;
  cv::resize(picture, stretched, cv::Size(60, 30), 0, 0, cv::INTER_AREA);
  expect_equal(stretched, prepare_image(as_bytes(file), crop_of(30, 60, Resize::exact)), Color::rgb);
  // A square too small for the crop.
  EXPECT_EQ(shape_after(10, 10, Resize::shrink, 32, 28).shape(), (Shape{1, 28, 28, 3}));
}

TEST(Prepare, RefusesWhatCannotFit) {
  const auto file = encode(random_picture(20, 30, 11), ".png");
  const std::string message =
      message_of<DataError>([&] { prepare_image(as_bytes(file), crop_of(24, 24, Resize::none)); });
  EXPECT_TRUE(contains(message, "20x30") && contains(message, "24x24")) << message;
  const auto strip = encode(random_picture(1, 20000, 12), ".png");
  EXPECT_THROW(prepare_image(as_bytes(strip), crop_of(224, 224, Resize::short_side, 256)), DataError);

  Preprocessing p = crop_of(224, 224, Resize::shrink, 256);
  EXPECT_NO_THROW(check_fits(p, {1, 224, 224, 3}));
  EXPECT_TRUE(contains(message_of<DataError>([&] { check_fits(p, {1, 96, 96, 3}); }), "1x96x96x3"));
  EXPECT_THROW(check_fits(p, {1, 224, 224, 1}), DataError);
  p.color = Color::gray;
  EXPECT_NO_THROW(check_fits(p, {1, 224, 224, 1}));
  p.size = 200;
  EXPECT_TRUE(contains(message_of<DataError>([&] { check_fits(p, {1, 224, 224, 1}); }), "short side to 200"));
}

TEST(Normaliser, IsExactForEveryPixelAndChannel) {
  Preprocessing p = crop_of(1, 256, Resize::none);
  p.mean = {123.675, 116.28, 103.53};
  p.scale = {0.017125, 0.017507, 0.017429};
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 256; ++i) {
    for (int c = 0; c < 3; ++c) pixels.push_back(static_cast<std::uint8_t>((i + 85 * c) & 255));
  }
  std::vector<float> numbers(pixels.size());
  Normaliser{p}(pixels, numbers);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    EXPECT_EQ(numbers[i], static_cast<float>((pixels[i] - p.mean[i % 3]) * p.scale[i % 3]));
  }
  p.color = Color::gray;
  Normaliser{p}(pixels, numbers);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    EXPECT_EQ(numbers[i], static_cast<float>((pixels[i] - p.mean[0]) * p.scale[0]));
  }
}

/// A picture whose pixel says where it was: R = x, G = y.
Pixels map_of_places(int height, int width) {
  Pixels image(Shape{1, height, width, 3});
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image[(y * width + x) * 3] = static_cast<std::uint8_t>(x);
      image[(y * width + x) * 3 + 1] = static_cast<std::uint8_t>(y);
    }
  }
  return image;
}

TEST(Augment, CutsWithinAreaAndAspect) {
  const int height = 150, width = 200;
  const Pixels image = map_of_places(height, width);
  const Preprocessing p = crop_of(40, 40, Resize::shrink, 50);
  const Augmentation a{.area_min = 0.2, .area_max = 0.8};
  int flipped = 0;
  double smallest = 1, largest = 0;
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Pixels out = augment(image, p, a, Random(5, i));
    ASSERT_EQ(out.shape(), (Shape{1, 40, 40, 3}));
    const auto at = [&](int y, int x, int c) { return static_cast<double>(out[(y * 40 + x) * 3 + c]); };
    const bool flip = at(20, 0, 0) > at(20, 39, 0);
    flipped += flip ? 1 : 0;
    // 39 steps between the centres of the outer pixels; they hold rounded means.
    const double w = std::abs(at(20, 39, 0) - at(20, 0, 0)) * 40 / 39, h = (at(39, 20, 1) - at(0, 20, 1)) * 40 / 39;
    const double area = w * h / (height * width);
    EXPECT_GT(area, 0.2 - 0.03);
    EXPECT_LT(area, 0.8 + 0.03);
    EXPECT_GT(w / h, 0.75 * 0.93);
    EXPECT_LT(w / h, 1.34 * 1.07);
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
  }
  EXPECT_NEAR(flipped, 200, 40);
  EXPECT_LT(smallest, 0.25);
  EXPECT_GT(largest, 0.6);
}

TEST(Augment, DependsOnItsRandomNumbersOnly) {
  const Pixels image = map_of_places(60, 50);
  const Preprocessing p = crop_of(32, 32, Resize::shrink, 36);
  EXPECT_EQ(augment(image, p, {}, Random(1, 2)), augment(image, p, {}, Random(1, 2)));
  EXPECT_NE(augment(image, p, {}, Random(1, 2)), augment(image, p, {}, Random(1, 3)));
  // Without variation it is evaluation's image.
  EXPECT_EQ(augment(image, p, {.random_crop = false, .flip = false}, Random(1, 2)), resize_and_crop(image, p));
  // A strip that no allowed crop of the wanted area fits falls back to the largest centred one.
  const Pixels strip = map_of_places(4, 200);
  const Pixels cut = augment(strip, p, {.area_min = 0.9, .flip = false}, Random(1));
  EXPECT_NEAR(cut[(16 * 32 + 16) * 3], 100, 2);
}

TEST(RealData, ShortImagesOfVal650AreOnlyCropped) {
  const fs::path root = testing_tools::shared_data() / "imagenet-val650/val";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  const fs::path path = fs::directory_iterator(fs::directory_iterator(root)->path())->path();
  const std::vector<std::byte> file = read_file(path);
  const cv::Mat picture = cv::imread(path.string());
  ASSERT_EQ(picture.size(), cv::Size(227, 227));
  expect_equal(picture(cv::Rect(1, 1, 224, 224)).clone(), prepare_image(file, Preprocessing{}), Color::rgb);
}

}  // namespace
}  // namespace binade
