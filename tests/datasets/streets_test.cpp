// Cityscapes' layouts, and the generated streets that are written in one of them.
#include "datasets/streets.hpp"

#include <map>
#include <set>

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
using test::write_file;

constexpr StreetOptions kSmall{.train = 5, .val = 4, .height = 48, .width = 96, .seed = 3};

/// SHA-256 by path below `root`.
std::map<std::string, std::string> hashes_below(const fs::path& root) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) hashes[entry.path().lexically_relative(root)] = sha256_file(entry.path());
  }
  return hashes;
}

TEST(GeneratedStreets, MakesTheSameBytesForAnyNumberOfThreads) {
  const TemporaryFolder root;
  const int threads = thread_count();
  for (const int n : {1, 3}) {
    set_thread_count(n);
    EXPECT_TRUE(generate_streets(root / std::to_string(n), kSmall));
  }
  set_thread_count(threads);
  const auto one = hashes_below(root / "1");
  EXPECT_EQ(one.size(), 19U);
  EXPECT_EQ(one, hashes_below(root / "3"));
  EXPECT_FALSE(generate_streets(root / "1", kSmall));
  StreetOptions other = kSmall;
  other.seed = 4;
  EXPECT_THROW(generate_streets(root / "1", other), DataError);
  other.width = 8;
  EXPECT_THROW(generate_streets(root / "2", other), UsageError);
}

TEST(GeneratedStreets, HaveAllClassesAndOpenAsCityscapes) {
  const TemporaryFolder root;
  StreetOptions options = kSmall;
  options.val = 60;
  generate_streets(root / "set", options);
  const Dataset train = open_dataset({.kind = "generated-streets", .root = root / "set", .split = "train"});
  EXPECT_EQ(train.items.size(), 5U);
  const Dataset dataset = open_dataset({.kind = "cityscapes", .root = root / "set"});
  ASSERT_EQ(dataset.items.size(), 60U);
  EXPECT_EQ(dataset.items[7].path, "leftImg8bit/val/streets/streets_000007_000000_leftImg8bit.png");
  EXPECT_EQ(dataset.items[7].label_map, "gtFine/val/streets/streets_000007_000000_gtFine_labelIds.png");
  ASSERT_EQ(dataset.classes.size(), 19U);
  EXPECT_EQ(dataset.classes[0], "road");
  EXPECT_EQ(dataset.classes[18], "bicycle");
  std::map<int, std::int64_t> pixels;
  Preprocessing p;
  p.resize = Preprocessing::Resize::exact;
  p.crop_height = 48;
  p.crop_width = 96;
  LoadedImages images(dataset, p);
  LabelledPixels scratch;
  for (int i = 0; i < images.count(); ++i) {
    for (const std::uint8_t label : images.label_map(i, scratch).span()) ++pixels[label];
  }
  EXPECT_EQ(pixels.size(), 20U) << "19 classes and the ego vehicle, which is ignored";
  EXPECT_GT(pixels[kIgnored], 0);
  for (const auto& [label, count] : pixels) EXPECT_GT(count, 60) << "class " << label;
  EXPECT_THROW(open_dataset({.kind = "generated-streets", .root = root.path()}), DataError);
}

/// One image and its map of constant value in Cityscapes' layout.
void write_city(const fs::path& root, const std::string& city, const std::string& name, const std::string& kind,
                int value) {
  test::write_picture(root / fmt::format("leftImg8bit/val/{}/{}_leftImg8bit.png", city, name), 8, 16, 1);
  const auto map = test::encode(cv::Mat(8, 16, CV_8UC1, cv::Scalar(value)), ".png");
  write_file(root / fmt::format("gtFine/val/{}/{}_gtFine_{}.png", city, name, kind),
             std::string(map.begin(), map.end()));
}

int only_label(const Dataset& dataset, int image) {
  Preprocessing p;
  p.resize = Preprocessing::Resize::exact;
  p.crop_height = 8;
  p.crop_width = 16;
  LoadedImages images(dataset, p);
  LabelledPixels scratch;
  const Pixels& map = images.label_map(image, scratch);
  const std::set<int> labels(map.span().begin(), map.span().end());
  EXPECT_EQ(labels.size(), 1U);
  return *labels.begin();
}

TEST(Cityscapes, IdsBecomeTrainIds) {
  const TemporaryFolder root;
  // Train ids beside them are not looked at.
  write_city(root.path(), "ulm", "ulm_0", "labelTrainIds", 3);
  write_city(root.path(), "ulm", "ulm_0", "labelIds", 33);
  write_city(root.path(), "bonn", "bonn_0", "labelIds", 7);
  write_city(root.path(), "bonn", "bonn_1", "labelIds", 14);
  write_city(root.path(), "bonn", "bonn_2", "labelIds", 34);
  const Dataset dataset = open_dataset({.kind = "cityscapes", .root = root.path()});
  ASSERT_EQ(dataset.items.size(), 4U);
  Dataset some = dataset;
  some.items = {dataset.items[0], dataset.items[1], dataset.items[3]};
  EXPECT_EQ(only_label(some, 0), 0);
  EXPECT_EQ(only_label(some, 1), kIgnored);
  EXPECT_EQ(only_label(some, 2), 18);
  LoadedImages all(dataset, Preprocessing{.resize = Preprocessing::Resize::exact, .crop_height = 8, .crop_width = 16});
  EXPECT_TRUE(contains(message_of<DataError>([&] { all.hashes(); }), "34 (128 pixels)"));
}

TEST(Cityscapes, TrainIdsWhereThereAreNoIds) {
  const TemporaryFolder root;
  write_city(root.path(), "ulm", "ulm_0", "labelTrainIds", 18);
  const Dataset dataset = open_dataset({.kind = "cityscapes", .root = root.path()});
  EXPECT_EQ(only_label(dataset, 0), 18);
  test::write_picture(root / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", 8, 16, 2);
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset({.kind = "cityscapes", .root = root.path()}); }),
                       "ulm_1_leftImg8bit.png"));
  EXPECT_TRUE(contains(
      message_of<DataError>([&] { open_dataset({.kind = "cityscapes", .root = root.path(), .split = "train"}); }),
      "train"));
}

TEST(Cityscapes, FlatFoldersHoldTrainIds) {
  const TemporaryFolder root;
  test::write_picture(root / "images/a.jpg", 8, 16, 1);
  const auto map = test::encode(cv::Mat(16, 32, CV_8UC1, cv::Scalar(18)), ".png");
  write_file(root / "labels/a.png", std::string(map.begin(), map.end()));
  EXPECT_EQ(only_label(open_dataset({.kind = "cityscapes", .root = root.path()}), 0), 18);
  fs::remove(root / "labels/a.png");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset({.kind = "cityscapes", .root = root.path()}); }),
                       "images/a.jpg"));
}

}  // namespace
}  // namespace binade
