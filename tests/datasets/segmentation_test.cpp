// Segmentation from lists of files to mIoU: the lists, joint augmentation, the evaluation.
#include <cmath>
#include <set>

#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/metrics.hpp"
#include "datasets/overlay.hpp"
#include "tests/datasets/fixture.hpp"
#include "tests/datasets/label_fixture.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::blocks;
using test::contains;
using test::message_of;
using test::palette_png;
using test::TemporaryFolder;
using test::write_file;

Preprocessing input_of(int height, int width) {
  Preprocessing p;
  p.resize = Preprocessing::Resize::exact;
  p.crop_height = height;
  p.crop_width = width;
  p.mean = {11, 12, 13};
  return p;
}

/// The image whose colour says the class.
LabelledPixels matching(const Pixels& map) {
  LabelledPixels both{Pixels(Shape{1, map.shape().h, map.shape().w, 3}), map};
  for (std::int64_t i = 0; i < map.count(); ++i) {
    for (int c = 0; c < 3; ++c) both.image[i * 3 + c] = static_cast<std::uint8_t>(20 * map[i] + 40 + c);
  }
  return both;
}

constexpr Augmentation kStill{.random_crop = false, .flip = false, .scale_min = 1, .scale_max = 1, .rotation = 0};

TEST(JointAugmentation, StandingStillAndFlipping) {
  const LabelledPixels both = matching(blocks(24, 32, 9, 6, 3));
  const LabelledPixels still = augment(both, input_of(24, 32), kStill, Random(1));
  EXPECT_TRUE(still.image == both.image);
  EXPECT_TRUE(still.labels == both.labels);
  Augmentation flip = kStill;
  flip.flip = true;
  int flipped = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const LabelledPixels found = augment(both, input_of(24, 32), flip, Random(seed));
    if (found.labels == both.labels) {
      EXPECT_TRUE(found.image == both.image);
      continue;
    }
    ++flipped;
    for (int i = 0; i < 24 * 32; ++i) {
      const int mirrored = i / 32 * 32 + 31 - i % 32;
      ASSERT_EQ(found.labels[i], both.labels[mirrored]);
      ASSERT_EQ(found.image[i * 3 + 2], both.image[mirrored * 3 + 2]);
    }
  }
  EXPECT_GT(flipped, 3);
  EXPECT_LT(flipped, 17);
}

TEST(JointAugmentation, ImageAndLabelsMoveTogether) {
  const LabelledPixels both = matching(blocks(60, 80, 9, 7, 12));
  const Augmentation strong{.flip = true, .scale_min = 0.6, .scale_max = 1.8, .rotation = 15};
  int inside = 0, outside = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const LabelledPixels found = augment(both, input_of(48, 64), strong, Random(seed));
    ASSERT_EQ(found.image.shape(), (Shape{1, 48, 64, 3}));
    ASSERT_EQ(found.labels.shape(), (Shape{1, 48, 64, 1}));
    for (int y = 2; y < 46; ++y) {
      for (int x = 2; x < 62; ++x) {
        const std::uint8_t label = found.labels[y * 64 + x];
        bool uniform = true;
        for (int dy = -2; dy <= 2; ++dy) {
          for (int dx = -2; dx <= 2; ++dx) uniform = uniform && found.labels[(y + dy) * 64 + x + dx] == label;
        }
        if (!uniform) continue;
        ++(label == kIgnored ? outside : inside);
        for (int c = 0; c < 3; ++c) {
          ASSERT_EQ(found.image[(y * 64 + x) * 3 + c], label == kIgnored ? 11 + c : 20 * label + 40 + c)
              << "seed " << seed << " at " << y << ", " << x;
        }
      }
    }
  }
  EXPECT_GT(inside, 10000);
  EXPECT_GT(outside, 100);
}

/// Six images with maps of three classes and void, in CamVid's layout.
void write_camvid(const fs::path& root, int height = 24, int width = 32) {
  std::string list;
  for (int i = 0; i < 6; ++i) {
    test::write_picture(root / fmt::format("test/{}.png", i), height, width, static_cast<std::uint64_t>(i));
    write_file(root / fmt::format("testannot/{}.png", i),
               palette_png(blocks(height, width, 4, 50 + static_cast<std::uint64_t>(i))));
    list += fmt::format("/Somewhere/else/test/{0}.png testannot/{0}.png\n", i);
  }
  write_file(root / "test.txt", list);
  write_file(root / "classes.txt", "0 sky\n1 wall\n2 floor\n3 void (ignore)\n");
}

TEST(Camvid, ListsNameImagesAndMaps) {
  const TemporaryFolder root;
  write_camvid(root.path());
  const Dataset dataset = open_dataset({.kind = "camvid", .root = root.path()});
  ASSERT_EQ(dataset.items.size(), 6U);
  EXPECT_EQ(dataset.items[2].path, "test/2.png");
  EXPECT_EQ(dataset.items[2].label_map, "testannot/2.png");
  EXPECT_EQ(dataset.classes, (std::vector<std::string>{"sky", "wall", "floor"}));
  EXPECT_EQ(dataset.label_values[3], kIgnored);
  EXPECT_EQ(dataset.label_values[4], -1);
  EXPECT_TRUE(dataset.segmentation());
  EXPECT_NO_THROW(check_labels(dataset, 4));
  EXPECT_THROW(check_labels(dataset, 2), DataError);
  EXPECT_FALSE(without_labels(dataset).segmentation());
  EXPECT_EQ(choose_images(dataset, 3, 1).classes, dataset.classes);
  EXPECT_TRUE(choose_images(dataset, 3, 1).segmentation());
  const std::string missing =
      message_of<DataError>([&] { open_dataset({.kind = "camvid", .root = root.path(), .split = "train"}); });
  EXPECT_TRUE(contains(missing, "train.txt")) << missing;
}

TEST(Camvid, EveryBadLineIsNamed) {
  const TemporaryFolder root;
  write_camvid(root.path());
  write_file(root / "test.txt",
             "test/0.png testannot/0.png\ntest/1.png\ntest/9.png testannot/1.png\ntest/2.png testannot/9.png\n\n"
             "test/0.png testannot/0.png\n");
  const std::string message = message_of<DataError>([&] { open_dataset({.kind = "camvid", .root = root.path()}); });
  for (const char* part : {"line 2: 'test/1.png' is not", "line 3: there is no 'test/9.png'", "line 4: there is no",
                           "line 6: 'test/0.png' is there twice"}) {
    EXPECT_TRUE(contains(message, part)) << message;
  }
  write_file(root / "classes.txt", "0 sky\n2 floor\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset({.kind = "camvid", .root = root.path()}); }),
                       "class 1 is missing"));
}

TEST(Camvid, FilesOutsideOfTheFolderAreReadOnlyIfThatIsAllowed) {
  const TemporaryFolder root;
  write_camvid(root / "set");
  write_camvid(root / "other");
  const fs::path absolute = root / "other/testannot/1.png";
  write_file(root / "set/test.txt",
             "../other/test/0.png testannot/0.png\ntest/../../other/test/1.png " + absolute.string() + "\n");
  DatasetOptions options{.kind = "camvid", .root = root / "set"};
  const std::string message = message_of<DataError>([&] { open_dataset(options); });
  for (const char* part : {"line 1: there is no '../other/test/0.png'", "line 2: there is no", "--allow-outside"}) {
    EXPECT_TRUE(contains(message, part)) << part << " in " << message;
  }
  options.allow_outside = true;
  const Dataset dataset = open_dataset(options);
  ASSERT_EQ(dataset.items.size(), 2U);
  EXPECT_EQ(dataset.root / dataset.items[1].label_map, absolute);
  EXPECT_TRUE(fs::exists(dataset.file(dataset.items[0])));
}

TEST(Camvid, ANegativeClassIsRefused) {
  const TemporaryFolder root;
  write_camvid(root.path());
  write_file(root / "classes.txt", "0 sky\n-7000 wall\n2 floor\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset({.kind = "camvid", .root = root.path()}); }), "-7000"));
}

TEST(Camvid, AStrangeValueIsABadImage) {
  const TemporaryFolder root;
  write_camvid(root.path());
  Pixels map = blocks(24, 32, 3, 1);
  map[9] = 77;
  write_file(root / "testannot/4.png", palette_png(map));
  LoadedImages images(open_dataset({.kind = "camvid", .root = root.path()}), input_of(24, 32));
  const std::string message = message_of<DataError>([&] { images.hashes(); });
  EXPECT_TRUE(contains(message, "test/4.png: the label map holds values that are no classes: 77 (1 pixels)"))
      << message;
}

/// Scores {n, h, w, 5} that are a function of the image's pixels, at half the input's size.
struct HalfSize {
  Tensor<float> out;
  View<const float> operator()(View<const float> in) {
    out.resize({in.shape.n, in.shape.h / 2, in.shape.w / 2, 5});
    std::int64_t i = 0;
    for (int n = 0; n < in.shape.n; ++n) {
      for (int y = 0; y < in.shape.h / 2; ++y) {
        for (int x = 0; x < in.shape.w / 2; ++x) {
          const float* pixel = in.data + ((std::int64_t{n} * in.shape.h + 2 * y) * in.shape.w + 2 * x) * 3;
          for (int c = 0; c < 5; ++c)
            out[i++] = c == 4 ? 1000.0F : std::sin(pixel[c % 3] * (1 + static_cast<float>(c)));
        }
      }
    }
    return static_cast<const Tensor<float>&>(out).view();
  }
};

TEST(EvaluateSegmentation, IsWhatANaiveLoopCounts) {
  const TemporaryFolder root;
  write_camvid(root.path(), 30, 44);
  const Dataset dataset = open_dataset({.kind = "camvid", .root = root.path()});
  for (const auto resolution : {LoadOptions::Resolution::labels, LoadOptions::Resolution::network}) {
    LoadedImages images(dataset, input_of(24, 32), {.resolution = resolution});
    const Predictions found = evaluate(HalfSize{}, images, {.method = "half", .batch = 4});
    ASSERT_EQ(found.count(), 6);
    EXPECT_EQ(found.classes, 3);
    EXPECT_EQ(found.images[1], "test/1.png");
    const bool at_labels = resolution == LoadOptions::Resolution::labels;
    const cv::Size size = at_labels ? cv::Size(44, 30) : cv::Size(32, 24);
    for (int i = 0; i < 6; ++i) {
      HalfSize network;
      const View<const float> scores = network(images.images(i, 1));
      const cv::Mat small(12, 16, CV_32FC(5), const_cast<float*>(scores.data));
      cv::Mat large;
      cv::resize(small, large, size, 0, 0, cv::INTER_LINEAR);
      const Pixels stored =
          decode_label_map(read_file(dataset.root / dataset.items[static_cast<std::size_t>(i)].label_map));
      const Pixels labels = at_labels ? stored : resize_labels(stored, 24, 32);
      std::vector<std::int64_t> counts(9);
      std::int64_t different = 0;
      for (int p = 0; p < size.area(); ++p) {
        const float* pixel = large.ptr<float>() + p * 5;
        const auto best = static_cast<std::size_t>(std::max_element(pixel, pixel + 3) - pixel);
        different += best != found.maps[static_cast<std::size_t>(i)][p] ? 1 : 0;
        if (labels[p] < 3) ++counts[static_cast<std::size_t>(labels[p]) * 3 + best];
      }
      // OpenCV rounds its weights elsewhere: a tie may fall to the other side.
      EXPECT_LE(different, 1);
      for (std::size_t k = 0; k < 9; ++k) {
        EXPECT_NEAR(static_cast<double>(found.confusion[static_cast<std::size_t>(i) * 9 + k]),
                    static_cast<double>(counts[k]), 1);
      }
    }
  }
}

TEST(EvaluateSegmentation, DoesNotDependOnThreadsOrBatches) {
  const TemporaryFolder root;
  write_camvid(root.path(), 30, 44);
  LoadedImages images(open_dataset({.kind = "camvid", .root = root.path()}), input_of(24, 32));
  const int before = thread_count();
  const Predictions expected = evaluate(HalfSize{}, images, {.batch = 6});
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    for (const int batch : {1, 4}) {
      const Predictions found = evaluate(HalfSize{}, images, {.batch = batch});
      EXPECT_EQ(found.confusion, expected.confusion);
      EXPECT_TRUE(found.maps == expected.maps);
    }
  }
  set_thread_count(before);
}

TEST(EvaluateSegmentation, RefusesWhatDoesNotFit) {
  const TemporaryFolder root;
  write_camvid(root.path(), 30, 44);
  const Dataset dataset = open_dataset({.kind = "camvid", .root = root.path()});
  Preprocessing cropping = input_of(24, 32);
  cropping.resize = Preprocessing::Resize::none;
  LoadedImages cropped(dataset, cropping);
  EXPECT_TRUE(contains(message_of<DataError>([&] { cropped.hashes(); }), "crop"));
  LoadedImages images(dataset, input_of(24, 32));
  Tensor<float> out;
  const Network network = [&](View<const float>) { return static_cast<const Tensor<float>&>(out).view(); };
  const auto refuse = [&](const Shape& shape, float value) {
    out = Tensor<float>(shape);
    out[3] = value;
    return message_of<DataError>([&] { evaluate(network, images, {.batch = 6}); });
  };
  EXPECT_TRUE(contains(refuse({6, 1, 1, 5}, 0), "segmentation network"));
  EXPECT_TRUE(contains(refuse({6, 24, 32, 2}, 0), "2 classes"));
  EXPECT_TRUE(contains(refuse({6, 24, 32, 5}, std::nanf("")), "image 0 holds NaN"));
}

TEST(Overlay, ShowsImageLabelsAndPredictions) {
  Pixels image(Shape{1, 2, 2, 3}), labels(Shape{1, 2, 2, 1}), predicted(Shape{1, 2, 2, 1});
  for (std::int64_t i = 0; i < image.count(); ++i) image[i] = 100;
  labels[0] = kIgnored, labels[3] = 1, predicted[3] = 0;
  const std::vector<std::array<std::uint8_t, 3>> colors{{0, 0, 200}, {50, 0, 0}};
  const Pixels found = overlay(image, labels, predicted, colors);
  ASSERT_EQ(found.shape(), (Shape{1, 2, 6, 3}));
  const auto pixel = [&](int y, int x) {
    return std::array<int, 3>{found[(y * 6 + x) * 3], found[(y * 6 + x) * 3 + 1], found[(y * 6 + x) * 3 + 2]};
  };
  EXPECT_EQ(pixel(1, 1), (std::array<int, 3>{100, 100, 100}));
  EXPECT_EQ(pixel(0, 2), (std::array<int, 3>{40, 40, 40}));
  EXPECT_EQ(pixel(1, 3), (std::array<int, 3>{70, 40, 40}));
  EXPECT_EQ(pixel(1, 5), (std::array<int, 3>{40, 40, 160}));
}

TEST(Overlay, IsWrittenForTheFirstImages) {
  const TemporaryFolder root;
  write_camvid(root / "set", 30, 44);
  LoadedImages images(open_dataset({.kind = "camvid", .root = root / "set"}), input_of(24, 32));
  write_overlays(images, evaluate(HalfSize{}, images), 2, root / "out/float");
  const Pixels picture = decode_image(read_file(root / "out/float/1.png"), Preprocessing::Color::rgb);
  EXPECT_EQ(picture.shape(), (Shape{1, 30, 132, 3}));
  EXPECT_FALSE(fs::exists(root / "out/float/2.png"));
}

TEST(TrainingLoader, LabelMapsComeWithTheImages) {
  const TemporaryFolder root;
  write_camvid(root.path(), 30, 44);
  const Dataset dataset = open_dataset({.kind = "camvid", .root = root.path()});
  const Augmentation augmentation{.scale_min = 0.7, .scale_max = 1.4, .rotation = 10};
  const auto all = [&](int threads, std::size_t cache_bytes, int first_batch) {
    TrainingLoader loader(dataset, input_of(24, 32), augmentation, 3, {.threads = threads, .cache_bytes = cache_bytes});
    loader.start_epoch(2, 2, first_batch);
    std::vector<float> values;
    for (int i = first_batch; i < 3; ++i) {
      const LabelledBatch batch = loader.next();
      EXPECT_EQ(batch.labels.shape, (Shape{2, 24, 32, 1}));
      values.insert(values.end(), batch.images.span().begin(), batch.images.span().end());
      values.insert(values.end(), batch.labels.span().begin(), batch.labels.span().end());
    }
    return values;
  };
  const std::vector<float> expected = all(1, 0, 0);
  EXPECT_TRUE(all(3, 0, 0) == expected);
  EXPECT_TRUE(all(2, 1, 0) == expected);
  const std::vector<float> rest = all(2, 0, 1);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), expected.end() - static_cast<std::ptrdiff_t>(rest.size())));
  std::set<float> labels;
  for (std::size_t i = 2 * 24 * 32 * 3; i < 2 * 24 * 32 * 4; ++i) labels.insert(expected[i]);
  EXPECT_EQ(labels, (std::set<float>{0, 1, 2, 255}));
}

TEST(TrainingLoader, CountsTheClasses) {
  const TemporaryFolder root;
  write_camvid(root.path(), 30, 44);
  const Dataset dataset = open_dataset({.kind = "camvid", .root = root.path()});
  TrainingLoader loader(dataset, input_of(30, 44),
                        {.random_crop = false, .flip = false, .scale_min = 1, .scale_max = 1}, 3);
  loader.start_epoch(0, loader.count());
  std::vector<double> wanted(dataset.classes.size());
  double all = 0;
  for (const float label : loader.next().labels.span()) {
    if (label == static_cast<float>(kIgnored)) continue;
    ++wanted.at(static_cast<std::size_t>(label));
    ++all;
  }
  for (double& share : wanted) share /= all;
  const std::vector<double> shares = loader.class_shares();
  ASSERT_EQ(shares.size(), wanted.size());
  for (std::size_t c = 0; c < shares.size(); ++c) EXPECT_DOUBLE_EQ(shares[c], wanted[c]) << c;
  EXPECT_GT(shares[2], 0);
}

}  // namespace
}  // namespace binade
