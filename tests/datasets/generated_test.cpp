// The generated set: the same bytes always, whole or not at all, and openable as ImageNet.
#include "datasets/generated.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/parallel.hpp"
#include "datasets/dataset.hpp"
#include "datasets/loader.hpp"
#include "tests/datasets/fixture.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::contains;
using test::message_of;
using test::TemporaryFolder;

constexpr GeneratedOptions kSmall{.classes = 4, .train = 30, .val = 10, .size = 24, .seed = 5};

/// SHA-256 by path below `root`.
std::map<std::string, std::string> hashes_below(const fs::path& root) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) hashes[entry.path().lexically_relative(root)] = sha256_file(entry.path());
  }
  return hashes;
}

TEST(Generated, MakesTheSameBytesForAnyNumberOfThreads) {
  const TemporaryFolder root;
  const int threads = thread_count();
  for (const int n : {1, 2, 5}) {
    set_thread_count(n);
    EXPECT_TRUE(generate_images(root / std::to_string(n), kSmall));
  }
  set_thread_count(threads);
  const auto one = hashes_below(root / "1");
  EXPECT_EQ(one.size(), 43U);
  EXPECT_EQ(one, hashes_below(root / "2"));
  EXPECT_EQ(one, hashes_below(root / "5"));
  GeneratedOptions other = kSmall;
  other.seed = 6;
  generate_images(root / "other", other);
  for (const auto& [path, hash] : hashes_below(root / "other")) {
    if (!is_image_name(path)) continue;
    EXPECT_NE(hash, one.at(path)) << path;
  }
}

TEST(Generated, OpensInImagenetLayout) {
  const TemporaryFolder root;
  generate_images(root / "set", kSmall);
  for (const char* kind : {"generated", "imagenet", "folder"}) {
    for (const char* split : {"train", "val"}) {
      DatasetOptions options{.kind = kind, .root = root / "set", .split = split};
      const Dataset dataset = open_dataset(options);
      EXPECT_EQ(dataset.items.size(), std::string(split) == "train" ? 30U : 10U);
      options.root = root / "set" / split;
      EXPECT_EQ(open_dataset(options).items.size(), dataset.items.size());
      if (std::string(kind) == "folder") continue;  // no classes.txt: other indices
      ASSERT_EQ(dataset.classes.size(), 4U);
      for (const DatasetItem& item : dataset.items) {
        const std::string name = fs::path(item.path).parent_path().filename();
        EXPECT_EQ(name, generated_classes()[static_cast<std::size_t>(item.label)]);
      }
    }
  }
  Preprocessing p;
  p.crop_height = p.crop_width = p.size = 24;
  LoadedImages images(open_dataset({.kind = "generated", .root = root / "set"}), p);
  EXPECT_EQ(images.images(0, 10).shape, (Shape{10, 24, 24, 3}));
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset({.kind = "generated", .root = root.path()}); }),
                       "no finished generated set"));
}

TEST(Generated, IsMadeOnceAndNeverHalf) {
  const TemporaryFolder root;
  const fs::path set = root / "set";
  // A run that was killed left a folder of a process that is no more; an interrupted one leaves nothing.
  test::write_file(root / "set.partial-999999999/train/disk/x.JPEG", "");
  test::write_file(root / "set.partial-mine/keep", "");
  const auto interrupt = [](int done, int) {
    if (done > 0) throw UsageError("stopped");
  };
  EXPECT_THROW(generate_images(set, kSmall, interrupt), UsageError);
  EXPECT_FALSE(fs::exists(set));
  EXPECT_FALSE(fs::exists(root / "set.partial-999999999"));
  EXPECT_TRUE(generate_images(set, kSmall));
  const auto hashes = hashes_below(set);
  EXPECT_FALSE(generate_images(set, kSmall));
  EXPECT_EQ(hashes_below(set), hashes);
  EXPECT_EQ(std::distance(fs::directory_iterator(root.path()), fs::directory_iterator()), 2);

  GeneratedOptions other = kSmall;
  other.train = 31;
  EXPECT_TRUE(contains(message_of<DataError>([&] { generate_images(set, other); }), "\"train\":31"));
  EXPECT_TRUE(contains(message_of<DataError>([&] { generate_images(root.path(), kSmall); }), "holds other files"));
  EXPECT_EQ(hashes_below(set), hashes);
  fs::create_directories(root / "empty");
  EXPECT_TRUE(generate_images(root / "empty/", kSmall));
}

TEST(Generated, RefusesOptionsOutOfRange) {
  const TemporaryFolder root;
  for (const auto& [classes, size, difficulty] :
       std::vector<std::tuple<int, int, double>>{{1, 64, 1}, {13, 64, 1}, {10, 8, 1}, {10, 64, 3.5}, {10, 64, NAN}}) {
    const GeneratedOptions options{.classes = classes, .size = size, .difficulty = difficulty};
    EXPECT_THROW(generate_images(root / "set", options), UsageError);
  }
  EXPECT_THROW(generate_images(root / "set", {.train = 0, .val = 0}), UsageError);
  EXPECT_FALSE(fs::exists(root / "set"));
}

TEST(Generated, PngKeepsThePixels) {
  const TemporaryFolder root;
  GeneratedOptions options = kSmall;
  options.png = true;
  generate_images(root / "set", options);
  const Pixels drawn = draw_generated(1, 24, 1, Random(5, 2 * 9));
  EXPECT_EQ(decode_image(read_file(root / "set/train/ring/ring_000009.png"), Preprocessing::Color::rgb), drawn);
}

TEST(Generated, CleanImagesOfAClassLookAlike) {
  // Without difficulty: a plain object on a plain ground. The object's part of the picture tells ring from disk.
  const auto object_part = [](int label) {
    double sum = 0;
    for (std::uint64_t i = 0; i < 40; ++i) {
      const Pixels image = draw_generated(label, 64, 0, Random(1, i));
      int inside = 0;
      for (int pixel = 0; pixel < 64 * 64; ++pixel) {
        int difference = 0;
        for (int c = 0; c < 3; ++c) difference += std::abs(image[3 * pixel + c] - image[c]);
        inside += difference > 60 ? 1 : 0;
      }
      sum += inside / (64.0 * 64);
    }
    return sum / 40;
  };
  // Mean radius 0.36 of the extent: disk pi (0.9 r)^2 = 0.33; ring pi r^2 (1 - inner^2) = 0.27; star 0.4 .. 0.5 inner.
  EXPECT_NEAR(object_part(0), 0.33, 0.04);
  EXPECT_NEAR(object_part(1), 0.27, 0.04);
  EXPECT_NEAR(object_part(4), 0.17, 0.04);
}

}  // namespace
}  // namespace binade
