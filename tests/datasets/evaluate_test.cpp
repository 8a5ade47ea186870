// Metrics and the evaluation loop, with networks that are a line of arithmetic.
#include "datasets/evaluate.hpp"

#include <cmath>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "datasets/metrics.hpp"
#include "tests/datasets/fixture.hpp"

namespace binade {
namespace {

using test::contains;
using test::message_of;

TEST(BestClasses, LargestFirstAndTiesToTheLowestClass) {
  const std::vector<float> values{1, 5, 5, -2, 7, 5, 0, 7};
  std::vector<std::int32_t> best(5);
  best_classes(values, best);
  EXPECT_EQ(best, (std::vector<std::int32_t>{4, 7, 1, 2, 5}));
  const std::vector<float> few{3, 3};
  best_classes(few, best);
  EXPECT_EQ(best, (std::vector<std::int32_t>{0, 1, -1, -1, -1}));
  const std::vector<float> flat(9, -std::numeric_limits<float>::infinity());
  best_classes(flat, best);
  EXPECT_EQ(best, (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
}

TEST(BestClasses, AgreesWithASort) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> values(1 + random.below(40));
    for (float& value : values) value = static_cast<float>(random.below(8));
    std::vector<std::int32_t> order(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
    });
    order.resize(5, -1);
    if (values.size() < 5) std::fill(order.begin() + static_cast<std::ptrdiff_t>(values.size()), order.end(), -1);
    std::vector<std::int32_t> best(5);
    best_classes(values, best);
    EXPECT_EQ(best, order);
  }
}

TEST(ConfusionMatrix, CountsAndRates) {
  ConfusionMatrix matrix(4);
  matrix.add(0, 0, 6);
  matrix.add(0, 1, 2);
  matrix.add(1, 1, 3);
  matrix.add(1, 3);
  EXPECT_DOUBLE_EQ(matrix.accuracy(), 100.0 * 9 / 12);
  EXPECT_DOUBLE_EQ(matrix.iou(0), 100.0 * 6 / 8);
  EXPECT_DOUBLE_EQ(matrix.iou(1), 100.0 * 3 / 6);
  EXPECT_DOUBLE_EQ(matrix.iou(3), -1);
  EXPECT_DOUBLE_EQ(matrix.mean_iou(), (75.0 + 50.0) / 2);
  EXPECT_EQ(matrix.count(1, 3), 1);
  EXPECT_THROW(matrix.add(4, 0), ContractError);
  EXPECT_DOUBLE_EQ(ConfusionMatrix(3).accuracy(), 0);
}

/// Image i is one pixel of value i.
TensorImages counted(int n) {
  Tensor<float> pixels(Shape{n, 1, 1, 1});
  for (int i = 0; i < n; ++i) pixels[i] = static_cast<float>(i);
  return TensorImages(std::move(pixels));
}

/// Class i % 7 wins, the next classes follow.
struct Modulo {
  Tensor<float> out;
  View<const float> operator()(View<const float> in) {
    out.resize({in.shape.n, 1, 1, 7});
    for (int i = 0; i < in.shape.n; ++i) {
      for (int c = 0; c < 7; ++c) {
        out[i * 7 + c] = static_cast<float>(10 - (c - static_cast<int>(in.data[i]) % 7 + 7) % 7);
      }
    }
    return static_cast<const Tensor<float>&>(out).view();
  }
};

TEST(Evaluate, KeepsWhatWasSaidOfEveryImage) {
  TensorImages images = counted(30);
  std::vector<int> labels;
  for (int i = 0; i < 30; ++i) labels.push_back((i + (i % 3 == 0 ? 0 : i % 3 == 1 ? 4 : 5)) % 7);
  std::vector<int> seen;
  const auto run = [&](int batch) {
    return evaluate(Modulo{}, images, labels,
                    {.method = "modulo", .batch = batch, .progress = [&](int done, int) { seen.push_back(done); }});
  };
  const Predictions p = run(8);
  EXPECT_EQ(seen, (std::vector<int>{8, 16, 24, 30}));
  EXPECT_EQ(p.method, "modulo");
  EXPECT_EQ(p.classes, 7);
  EXPECT_EQ(p.logits.shape(), (Shape{30, 1, 1, 7}));
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(p.top1[static_cast<std::size_t>(i)], i % 7);
    EXPECT_EQ(p.top5[static_cast<std::size_t>(i) * 5 + 4], (i + 4) % 7);
    EXPECT_EQ(p.logits[i * 7 + i % 7], 10);
  }
  const ConfusionMatrix matrix = confusion(p);
  EXPECT_NEAR(matrix.accuracy(), 100.0 / 3, 1e-9);
  for (const int batch : {1, 30, 64}) {
    const Predictions other = run(batch);
    EXPECT_EQ(other.top5, p.top5);
    EXPECT_TRUE(other.logits == p.logits);
  }
}

TEST(Evaluate, WithFilesItKnowsPathsHashesAndAccuracy) {
  const test::TemporaryFolder root;
  for (int i = 0; i < 9; ++i) {
    const int gray = 20 * i;
    const cv::Mat picture(12, 12, CV_8UC3, cv::Scalar(gray, gray, gray));
    const auto bytes = test::encode(picture, ".png");
    test::write_file(root / fmt::format("c{}/{}.png", i % 7, i), std::string(bytes.begin(), bytes.end()));
  }
  Preprocessing p;
  p.resize = Preprocessing::Resize::none;
  p.crop_height = p.crop_width = 1;
  p.color = Preprocessing::Color::gray;
  p.scale = {1.0 / 20, 1, 1};
  LoadedImages images(open_dataset({.kind = "folder", .root = root.path()}), p);
  const Predictions predictions = evaluate(Modulo{}, images, {.batch = 4});
  EXPECT_EQ(predictions.count(), 9);
  EXPECT_DOUBLE_EQ(accuracy(predictions).top1, 100);
  EXPECT_DOUBLE_EQ(accuracy(predictions).top5, 100);
  EXPECT_EQ(predictions.images[1], "c0/7.png");
  EXPECT_EQ(predictions.hashes[1], sha256_file(root / "c0/7.png"));
}

TEST(Evaluate, RefusesUnfitNetworksAndNan) {
  TensorImages images = counted(5);
  const std::vector<int> labels{0, 1, 2, 3, 8};
  EXPECT_TRUE(contains(message_of<DataError>([&] { evaluate(Modulo{}, images, labels); }), "image 4: label 8"));
  Tensor<float> map(Shape{5, 2, 2, 9});
  const Network segmentation = [&](View<const float>) { return static_cast<const Tensor<float>&>(map).view(); };
  EXPECT_TRUE(contains(message_of<DataError>([&] { evaluate(segmentation, images, labels); }), "5x2x2x9"));
  Tensor<float> logits(Shape{5, 1, 1, 9});
  logits[3 * 9 + 2] = std::nanf("");
  const Network broken = [&](View<const float>) { return static_cast<const Tensor<float>&>(logits).view(); };
  EXPECT_TRUE(contains(message_of<DataError>([&] { evaluate(broken, images, labels); }), "image 3 holds NaN"));
}

}  // namespace
}  // namespace binade
