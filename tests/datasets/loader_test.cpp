// Loading: order, threads, caching, corrupt files, epochs, and the same image in two sets.
#include "datasets/loader.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <set>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "datasets/leakage.hpp"
#include "tests/datasets/fixture.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::contains;
using test::message_of;
using test::TemporaryFolder;
using test::write_file;
using test::write_picture;

constexpr int kImages = 23;

Preprocessing small_crop() {
  Preprocessing p;
  p.size = 20;
  p.crop_height = 16;
  p.crop_width = 18;
  p.mean = {1, 2, 3};
  p.scale = {0.5, 0.25, 2};
  return p;
}

/// Pictures of several sizes and formats in three classes.
Dataset write_set(const fs::path& root) {
  for (int i = 0; i < kImages; ++i) {
    write_picture(root / fmt::format("class{}/{:02d}.{}", i % 3, i, i % 2 == 0 ? "png" : "JPEG"), 18 + i, 40 - i,
                  static_cast<std::uint64_t>(i));
  }
  return open_dataset({.kind = "folder", .root = root});
}

Tensor<float> all_images(LoadedImages& images, int batch) {
  Tensor<float> all(images.shape().with_batch(images.count()));
  const std::int64_t per_image = images.shape().count();
  for (int first = 0; first < images.count(); first += batch) {
    const View<const float> part = images.images(first, std::min(batch, images.count() - first));
    std::copy_n(part.data, part.count(), all.data() + first * per_image);
  }
  return all;
}

TEST(LoadedImages, DoNotDependOnThreadsBatchesOrCache) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  const Preprocessing p = small_crop();
  Tensor<float> expected(input_shape(p).with_batch(kImages));
  for (int i = 0; i < kImages; ++i) {
    const Pixels pixels = prepare_image(read_file(dataset.file(dataset.items[static_cast<std::size_t>(i)])), p);
    Normaliser{p}(pixels.span(), expected.span().subspan(static_cast<std::size_t>(i * pixels.count()),
                                                         static_cast<std::size_t>(pixels.count())));
  }
  for (const int threads : {1, 2, 5}) {
    for (const std::size_t cache : {std::size_t{0}, std::size_t{1}, std::size_t{5000}}) {
      LoadedImages images(dataset, p, {.threads = threads, .cache_bytes = cache});
      EXPECT_EQ(images.count(), kImages);
      EXPECT_TRUE(all_images(images, threads + 2) == expected) << threads << " threads, cache " << cache;
      // Again, backwards, from the finished cache.
      const View<const float> last = images.images(kImages - 1, 1);
      EXPECT_TRUE(std::equal(last.data, last.data + last.count(), expected.data() + (kImages - 1) * last.count()));
    }
  }
}

TEST(LoadedImages, KnowLabelsAndHashes) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  LoadedImages images(dataset, small_crop());
  const std::vector<int> labels = images.labels();
  for (int i = 0; i < kImages; ++i) {
    const DatasetItem& item = dataset.items[static_cast<std::size_t>(i)];
    EXPECT_EQ(labels[static_cast<std::size_t>(i)], item.label);
    EXPECT_EQ(images.hashes()[static_cast<std::size_t>(i)], sha256_file(dataset.file(item)));
  }
  EXPECT_TRUE(images.bad().empty());
}

/// Spoils four of the images, each in its own way.
std::vector<BadImage> spoil(const Dataset& dataset) {
  const auto file = [&](std::size_t i) { return dataset.file(dataset.items[i]); };
  write_file(file(2), "");
  write_file(file(5), "this is a text");
  fs::resize_file(file(11), fs::file_size(file(11)) / 2);
  fs::remove(file(20));
  std::vector<BadImage> bad;
  for (const std::size_t i : {2U, 5U, 11U, 20U}) bad.push_back({dataset.items[i].path, ""});
  return bad;
}

TEST(LoadedImages, NameEveryBadImage) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  const std::vector<BadImage> spoiled = spoil(dataset);
  LoadedImages images(dataset, small_crop());
  EXPECT_EQ(images.images(0, 2).shape.n, 2);  // what comes before them is fine
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::string message = message_of<DataError>([&] { images.images(2, 1); });
    EXPECT_TRUE(contains(message, fmt::format("4 of {} images", kImages))) << message;
    EXPECT_TRUE(contains(message, "--skip-bad-images"));
    for (const BadImage& bad : spoiled) EXPECT_TRUE(contains(message, bad.path)) << bad.path << " in " << message;
    for (const char* reason : {"the file is empty", "not a JPEG", "cut off", "cannot open"}) {
      EXPECT_TRUE(contains(message, reason)) << reason << " in " << message;
    }
  }
  EXPECT_THROW(images.hashes(), DataError);
}

TEST(LoadedImages, LeaveBadImagesOutWhenAsked) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  LoadedImages whole(dataset, small_crop());
  const Tensor<float> before = all_images(whole, 4);
  const std::vector<BadImage> spoiled = spoil(dataset);
  LoadedImages images(dataset, small_crop(), {.threads = 3, .skip_bad_images = true});
  ASSERT_EQ(images.count(), kImages - 4);
  ASSERT_EQ(images.bad().size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(images.bad()[i].path, spoiled[i].path);
    EXPECT_FALSE(images.bad()[i].reason.empty());
  }
  const Tensor<float> rest = all_images(images, 5);
  const std::int64_t per_image = images.shape().count();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < dataset.items.size(); ++i) {
    if (i == 2 || i == 5 || i == 11 || i == 20) continue;
    EXPECT_EQ(images.dataset().items[kept], dataset.items[i]);
    EXPECT_EQ(images.hashes()[kept], whole.hashes()[i]);
    EXPECT_TRUE(std::equal(rest.data() + static_cast<std::int64_t>(kept) * per_image,
                           rest.data() + static_cast<std::int64_t>(kept + 1) * per_image,
                           before.data() + static_cast<std::int64_t>(i) * per_image));
    ++kept;
  }
  for (const DatasetItem& item : dataset.items) write_file(dataset.file(item), "");
  LoadedImages none(dataset, small_crop(), {.skip_bad_images = true});
  EXPECT_TRUE(contains(message_of<DataError>([&] { none.count(); }), fmt::format("{0} of {0} images", kImages)));
}

TEST(LoadedImages, SayThatAnImageIsSmallerThanTheCrop) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  Preprocessing p = small_crop();
  p.resize = Preprocessing::Resize::none;
  p.crop_height = 19;
  LoadedImages images(dataset, p);
  const std::string message = message_of<DataError>([&] { images.hashes(); });
  EXPECT_TRUE(contains(message, "class0/00.png: the image is 18x40")) << message;
}

struct Epoch {
  std::vector<float> images, labels;
};

Epoch read_epoch(TrainingLoader& loader, int epoch, int batch, int first_batch = 0) {
  Epoch result;
  loader.start_epoch(epoch, batch, first_batch);
  for (int b = first_batch; b < loader.count() / batch; ++b) {
    const LabelledBatch read = loader.next();
    EXPECT_EQ(read.images.shape, loader.shape().with_batch(batch));
    EXPECT_EQ(read.labels.shape, (Shape{batch, 1, 1, 1}));
    result.images.insert(result.images.end(), read.images.data, read.images.data + read.images.count());
    result.labels.insert(result.labels.end(), read.labels.data, read.labels.data + read.labels.count());
  }
  EXPECT_THROW(loader.next(), ContractError);
  return result;
}

TEST(TrainingLoader, IsAFunctionOfSeedAndEpoch) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  TrainingLoader one(dataset, small_crop(), {}, 9, {.threads = 1});
  const Epoch first = read_epoch(one, 0, 4), second = read_epoch(one, 1, 4);
  EXPECT_EQ(first.labels.size(), 20U);
  EXPECT_NE(first.images, second.images);
  for (const int threads : {2, 5}) {
    for (const std::size_t cache : {std::size_t{0}, std::size_t{1}}) {
      TrainingLoader loader(dataset, small_crop(), {}, 9, {.threads = threads, .cache_bytes = cache});
      EXPECT_EQ(read_epoch(loader, 1, 4).images, second.images) << threads << " threads";
      EXPECT_EQ(read_epoch(loader, 0, 4).images, first.images);
    }
  }
  TrainingLoader other(dataset, small_crop(), {}, 10);
  EXPECT_NE(read_epoch(other, 0, 4).images, first.images);
}

TEST(TrainingLoader, ContinuesInTheMiddleOfAnEpoch) {
  const TemporaryFolder root;
  TrainingLoader loader(write_set(root.path()), small_crop(), {}, 9);
  const Epoch whole = read_epoch(loader, 3, 4);
  // Given up after one batch, with others in the making.
  loader.start_epoch(5, 2);
  loader.next();
  const Epoch rest = read_epoch(loader, 3, 4, 2);
  const std::size_t skipped = 2 * 4 * static_cast<std::size_t>(loader.shape().count());
  ASSERT_EQ(rest.images.size() + skipped, whole.images.size());
  EXPECT_TRUE(
      std::equal(rest.images.begin(), rest.images.end(), whole.images.begin() + static_cast<std::ptrdiff_t>(skipped)));
  EXPECT_TRUE(std::equal(rest.labels.begin(), rest.labels.end(), whole.labels.begin() + 8));
}

TEST(TrainingLoader, ShowsEveryImageOnceAndLabelsItRight) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  TrainingLoader loader(dataset, small_crop(), {.random_crop = false, .flip = false}, 1);
  const Epoch epoch = read_epoch(loader, 0, 1);
  LoadedImages images(dataset, small_crop());
  const Tensor<float> all = all_images(images, 8);
  const auto per_image = static_cast<std::size_t>(images.shape().count());
  std::set<std::size_t> seen;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < kImages; ++i) {
    for (std::size_t j = 0; j < kImages; ++j) {
      const float* of_epoch = epoch.images.data() + i * per_image;
      if (!std::equal(of_epoch, of_epoch + per_image, all.data() + j * per_image)) continue;
      EXPECT_EQ(epoch.labels[i], static_cast<float>(dataset.items[j].label));
      EXPECT_TRUE(seen.insert(j).second);
      order.push_back(j);
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kImages));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST(TrainingLoader, FindsBadImagesBeforeTrainingBegins) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  const std::vector<BadImage> spoiled = spoil(dataset);
  const std::string message = message_of<DataError>([&] { TrainingLoader(dataset, small_crop(), {}, 1); });
  for (const BadImage& bad : spoiled) EXPECT_TRUE(contains(message, bad.path));
  TrainingLoader loader(dataset, small_crop(), {}, 1, {.skip_bad_images = true});
  EXPECT_EQ(loader.count(), kImages - 4);
  EXPECT_EQ(loader.bad().size(), 4U);
  EXPECT_EQ(read_epoch(loader, 0, 1).labels.size(), static_cast<std::size_t>(kImages - 4));
}

TEST(TrainingLoader, ReportsAFileThatVanishes) {
  const TemporaryFolder root;
  const Dataset dataset = write_set(root.path());
  TrainingLoader loader(dataset, small_crop(), {}, 1, {.cache_bytes = 1});
  fs::remove(dataset.file(dataset.items[7]));
  EXPECT_TRUE(contains(message_of<DataError>([&] { read_epoch(loader, 0, 1); }), dataset.items[7].path));
}

TEST(Leakage, FindsEqualPixelsInOtherFiles) {
  const TemporaryFolder root;
  write_set(root / "evaluation");
  fs::create_directories(root / "calibration/other");
  const cv::Mat picture = cv::imread((root / "evaluation/class1/04.png").string());
  cv::imwrite((root / "calibration/other/a.bmp").string(), picture);  // another format
  fs::copy(root / "evaluation/class1/04.png", root / "calibration/other/b.png");
  std::ofstream(root / "calibration/other/b.png", std::ios::app) << 'x';  // one byte after the end
  cv::Mat changed = picture.clone();
  changed.at<cv::Vec3b>(0, 0)[0] ^= 0x40;
  cv::imwrite((root / "calibration/other/c.png").string(), changed);
  LoadedImages evaluation(open_dataset({.kind = "folder", .root = root / "evaluation"}), small_crop());
  LoadedImages calibration(open_dataset({.kind = "folder", .root = root / "calibration"}), small_crop());
  EXPECT_TRUE(find_overlaps(evaluation.hashes(), calibration.hashes()).empty());
  const std::vector<Overlap> overlaps =
      find_overlaps(contents_of(evaluation.identities()), contents_of(calibration.identities()));
  ASSERT_EQ(overlaps.size(), 2U);
  EXPECT_EQ(calibration.dataset().items[static_cast<std::size_t>(overlaps[0].second)].path, "other/a.bmp");
  EXPECT_EQ(calibration.dataset().items[static_cast<std::size_t>(overlaps[1].second)].path, "other/b.png");
}

TEST(Leakage, LookalikesAreFoundAndEqualOnesAreNot) {
  Random random(3);
  std::vector<Identity> first, second;
  for (int i = 0; i < 300; ++i) first.push_back({std::to_string(i), random.next()});
  for (int bits = 0; bits <= 8; ++bits) {
    std::uint64_t look = first[static_cast<std::size_t>(10 * bits)].look;
    for (int k = 0; k < bits; ++k) look ^= std::uint64_t{1} << (7 * k);
    second.push_back({"changed" + std::to_string(bits), look});
  }
  second.push_back({"5", first[5].look});  // equal: another list's matter
  second.push_back({"flat", 0});
  first.push_back({"flat too", 1});
  std::vector<Overlap> expected;
  for (int bits = 0; bits <= kAlikeBits; ++bits) expected.push_back({10 * bits, bits});
  EXPECT_EQ(find_lookalikes(first, second), expected);
}

TEST(Leakage, AJpegLooksLikeItsOriginal) {
  cv::Mat picture(240, 320, CV_8UC3);
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const auto wave = [&](double u, double v) {
        return cv::saturate_cast<std::uint8_t>(128 + 90 * std::sin(u * x + v * y));
      };
      picture.at<cv::Vec3b>(y, x) = {wave(0.03, 0.011), wave(0.02, -0.03), wave(-0.01, 0.05)};
    }
  }
  std::vector<std::uint8_t> file;
  cv::imencode(".jpg", picture, file, {cv::IMWRITE_JPEG_QUALITY, 70});
  cv::Mat smaller;
  cv::resize(cv::imdecode(file, cv::IMREAD_COLOR), smaller, {}, 0.8, 0.8, cv::INTER_AREA);
  const auto identity = [](const cv::Mat& image) {
    return identity_of({image.data, image.total() * 3}, image.rows, image.cols, 3);
  };
  const Identity one = identity(picture), other = identity(smaller);
  EXPECT_NE(one.content, other.content);
  EXPECT_LE(std::popcount(one.look ^ other.look), kAlikeBits);
}

TEST(Leakage, FindsEqualBytesUnderOtherNames) {
  const TemporaryFolder root;
  write_set(root / "evaluation");
  fs::create_directories(root / "calibration/other");
  write_picture(root / "calibration/other/new.png", 30, 30, 77);
  fs::copy(root / "evaluation/class1/04.png", root / "calibration/other/renamed.png");
  fs::copy(root / "evaluation/class1/04.png", root / "calibration/other/twice.png");
  LoadedImages evaluation(open_dataset({.kind = "folder", .root = root / "evaluation"}), small_crop());
  LoadedImages calibration(open_dataset({.kind = "folder", .root = root / "calibration"}), small_crop());
  const std::vector<Overlap> overlaps = find_overlaps(evaluation.hashes(), calibration.hashes());
  ASSERT_EQ(overlaps.size(), 2U);
  EXPECT_EQ(evaluation.dataset().items[static_cast<std::size_t>(overlaps[0].first)].path, "class1/04.png");
  EXPECT_EQ(calibration.dataset().items[static_cast<std::size_t>(overlaps[0].second)].path, "other/renamed.png");
  EXPECT_EQ(calibration.dataset().items[static_cast<std::size_t>(overlaps[1].second)].path, "other/twice.png");
  EXPECT_EQ(find_duplicates(calibration.hashes()), (std::vector<Overlap>{{1, 2}}));
  EXPECT_TRUE(find_duplicates(evaluation.hashes()).empty());
}

TEST(RealData, CalibrationAndEvaluationImagesDiffer) {
  const fs::path root = testing_tools::shared_data();
  if (!fs::exists(root / "imagenet-val650")) GTEST_SKIP() << root << " is not there";
  LoadedImages evaluation(open_dataset({.root = root / "imagenet-val650"}), Preprocessing{});
  LoadedImages calibration(open_dataset({.root = root / "imagenet-sample"}), Preprocessing{});
  EXPECT_EQ(evaluation.hashes().size(), 650U);
  EXPECT_EQ(calibration.hashes().size(), 1000U);
  EXPECT_TRUE(find_overlaps(evaluation.hashes(), calibration.hashes()).empty());
  EXPECT_TRUE(find_overlaps(contents_of(evaluation.identities()), contents_of(calibration.identities())).empty());
  EXPECT_TRUE(find_duplicates(contents_of(evaluation.identities())).empty());
  EXPECT_LE(find_lookalikes(calibration.identities(), evaluation.identities()).size(), 1U);
}

}  // namespace
}  // namespace binade
