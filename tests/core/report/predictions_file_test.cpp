// Predictions survive the file, and a wrong, damaged or impossible file is told apart.
#include "core/report/predictions_file.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "tests/harness/sealing.hpp"

namespace binade {
namespace {

std::filesystem::path place(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / ("binade_predictions_" + name);
}

Predictions two_images() {
  Predictions p{.method = "ptq8-simple", .classes = 3};
  p.images = {"val/a b.JPEG", "val/ü.png"};
  p.hashes = {"00ff", "1234"};
  p.labels = {2, 0};
  p.top1 = {1, 0};
  p.top5 = {1, 2, 0, -1, -1, 0, 1, 2, -1, -1};
  p.logits = Tensor<float>(Shape{2, 1, 1, 3}, std::vector<float>{1, 2, 1.5F, 3, 2, -0.25F});
  p.seconds = 0.5;
  return p;
}

Predictions one_map() {
  Predictions p{.method = "float", .classes = 2};
  p.images = {"x.png"};
  p.hashes = {"77"};
  p.confusion = {std::int64_t{1} << 40, 2, 3, 4};
  return p;
}

TEST(PredictionsFile, ColumnsReadBack) {
  const Predictions a = two_images(), b = one_map();
  const auto path = place("both.h5");
  write_predictions(path, {a, b});

  const std::vector<Predictions> columns = read_predictions(path);
  ASSERT_EQ(columns.size(), 2U);
  EXPECT_EQ(columns[0].confusion, b.confusion);
  const Predictions again = read_predictions(path, "ptq8-simple");
  EXPECT_EQ(again.method, a.method);
  EXPECT_EQ(again.classes, 3);
  EXPECT_EQ(again.images, a.images);
  EXPECT_EQ(again.hashes, a.hashes);
  EXPECT_EQ(again.labels, a.labels);
  EXPECT_EQ(again.top1, a.top1);
  EXPECT_EQ(again.top5, a.top5);
  EXPECT_EQ(again.logits, a.logits);
  EXPECT_EQ(again.seconds, 0.5);
  EXPECT_THROW(read_predictions(path, "ptq8"), DataError);
  EXPECT_THROW(read_predictions(path, ""), DataError);  // which of the two?
}

TEST(PredictionsFile, OtherFilesAreRefused) {
  EXPECT_THROW(read_predictions(place("missing.h5")), DataError);
  std::ofstream(place("text.h5")) << "no HDF5";
  EXPECT_THROW(read_predictions(place("text.h5")), DataError);
}

TEST(PredictionsFile, EveryFlippedBitIsRefused) {
  const std::string path = place("flipped.h5").string();
  write_predictions(path, {two_images(), one_map()});
  const std::string good = testing_tools::bytes_of(path);
  const Random random(600, 1);
  for (std::uint64_t i = 0; i < 600; ++i) {
    const std::uint64_t bit = random.word(i) % (good.size() * 8);
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_THROW(read_predictions(path), DataError) << "bit " << bit;
  }
}

/// What reading says of a sealed file with these predictions; "" if it is believed.
std::string refusal(Predictions predictions, const std::function<void(Predictions&)>& edit) {
  edit(predictions);
  const auto path = place("edited.h5");
  write_predictions(path, {predictions});
  try {
    read_predictions(path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(PredictionsFile, ImpossibleNumbersAreRefused) {
  const auto expect = [](const std::string& words, const Predictions& good,
                         const std::function<void(Predictions&)>& edit) {
    const std::string message = refusal(good, edit);
    EXPECT_NE(message.find(words), std::string::npos) << "wanted: " << words << ", got: " << message;
  };
  const Predictions images = two_images(), maps = one_map();
  EXPECT_EQ(refusal(images, [](Predictions&) {}), "");
  EXPECT_EQ(refusal(maps, [](Predictions&) {}), "");
  expect("the best class is class 1000000000", images, [](Predictions& p) { p.top1[1] = 1'000'000'000; });
  expect("the best class is class -1", images, [](Predictions& p) { p.top1[0] = -1; });
  expect("the label is class 3", images, [](Predictions& p) { p.labels[0] = 3; });
  expect("the first of the best five 1", images, [](Predictions& p) { p.top1[0] = 0; });
  expect("is there twice", images, [](Predictions& p) { p.top5[2] = 2; });
  expect("but there are 3 classes", images, [](Predictions& p) { p.top5[3] = 1; });
  expect("a logit is NaN", images, [](Predictions& p) { p.logits[4] = std::numeric_limits<float>::quiet_NaN(); });
  expect("the largest logit is that of class 2", images, [](Predictions& p) { p.logits[2] = 9; });
  expect("lower logit than the next", images, [](Predictions& p) { std::swap(p.top5[1], p.top5[2]); });
  expect("1 images and 2 hashes", images, [](Predictions& p) { p.images.pop_back(); });
  expect("seconds", images, [](Predictions& p) { p.seconds = -1; });
  expect("-2 pixels", maps, [](Predictions& p) { p.confusion[1] = -2; });
  expect("more pixels than any image has", maps,
         [](Predictions& p) { p.confusion[0] = std::numeric_limits<std::int64_t>::max(); });
  expect("more pixels than any image has", maps, [](Predictions& p) { p.confusion.assign(4, std::int64_t{1} << 61); });
}

TEST(Predictions, EveryVectorHasItsLength) {
  EXPECT_NO_THROW(validate(two_images()));
  const auto refused = [](const std::function<void(Predictions&)>& edit) {
    Predictions p = two_images();
    edit(p);
    EXPECT_THROW(validate(p), DataError);
  };
  refused([](Predictions& p) { p.labels.pop_back(); });
  refused([](Predictions& p) { p.top1.push_back(0); });
  refused([](Predictions& p) { p.top5.pop_back(); });
  refused([](Predictions& p) { p.logits.resize({1, 1, 1, 3}); });
  refused([](Predictions& p) { p.confusion = {1, 2, 3}; });
  refused([](Predictions& p) { p.classes = 0; });
}

}  // namespace
}  // namespace binade
