// The real networks on the real images reach the accuracy that other runtimes measured.
#include <filesystem>

#include <gtest/gtest.h>

#include "core/base/parallel.hpp"
#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/metrics.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

/// Measured with ONNX Runtime on the same files (MANIFEST.md), in percent.
struct Case {
  const char *network, *kind, *images;
  double top1, top5;
};

class FloatAccuracy : public testing::TestWithParam<Case> {};

TEST_P(FloatAccuracy, IsThatOfOtherRuntimes) {
  const Case& wanted = GetParam();
  const fs::path data = testing_tools::shared_data();
  const fs::path file = data / "weights" / (std::string(wanted.network) + ".onnx");
  if (!fs::exists(file)) GTEST_SKIP() << file << " is not there";
  const Model model = load_model(file);
  check_fits(model.preprocessing, model.graph.shape(model.graph.inputs()[0]));
  const Dataset dataset = open_dataset({.kind = wanted.kind, .root = data / wanted.images});
  LoadedImages images(dataset, model.preprocessing);
  Executor<float> executor(model.graph);
  const Predictions predictions =
      evaluate([&](View<const float> batch) { return executor.forward(batch); }, images, {.batch = 25});
  const Accuracy found = accuracy(predictions);
  RecordProperty("top1", std::to_string(found.top1));
  RecordProperty("seconds", std::to_string(predictions.seconds));
  EXPECT_NEAR(found.top1, wanted.top1, 0.2);
  if (wanted.top5 > 0) {
    EXPECT_NEAR(found.top5, wanted.top5, 0.2);
  }
}

struct SegmentationCase {
  const char *network, *kind, *images;
  double miou, pixels;
};

class FloatSegmentation : public testing::TestWithParam<SegmentationCase> {};

TEST_P(FloatSegmentation, IsThatOfOtherRuntimes) {
  const SegmentationCase& wanted = GetParam();
  const fs::path data = testing_tools::shared_data();
  const fs::path file = data / "weights" / (std::string(wanted.network) + ".onnx");
  if (!fs::exists(file)) GTEST_SKIP() << file << " is not there";
  const Model model = load_model(file);
  LoadedImages images(open_dataset({.kind = wanted.kind, .root = data / wanted.images}), model.preprocessing);
  Executor<float> executor(model.graph);
  const Predictions predictions =
      evaluate([&](View<const float> batch) { return executor.forward(batch); }, images, {.batch = 2});
  EXPECT_NEAR(confusion(predictions).mean_iou(), wanted.miou, 0.1);
  EXPECT_NEAR(confusion(predictions).accuracy(), wanted.pixels, 0.05);
}

INSTANTIATE_TEST_SUITE_P(RealData, FloatSegmentation,
                         testing::Values(SegmentationCase{"espnet_p2_q8_camvid", "camvid", "camvid", 55.96, 87.24},
                                         SegmentationCase{"espnet_p2_q8_cityscapes", "cityscapes", "cityscapes-sample",
                                                          57.14, 95.41}),
                         [](const auto& tested) { return std::string(tested.param.kind); });

INSTANTIATE_TEST_SUITE_P(
    RealData, FloatAccuracy,
    testing::Values(Case{"mobilenet_v2_1.0_224_torchvision", "imagenet", "imagenet-val650", 78.46, 95.08},
                    Case{"squeezenet1.1_gluon", "imagenet", "imagenet-val650", 69.23, 90.46},
                    Case{"mobilenet_v1_0.25_224_keras", "imagenet", "imagenet-val650", 65.08, 86.77},
                    Case{"resnet20_cifar10", "folder", "cifar10-test", 92.30, 0},
                    Case{"mlperf_tiny_resnet8_cifar10", "folder", "cifar10-test", 87.80, 0}),
    [](const auto& tested) {
      std::string name;
      for (const char* c = tested.param.network; *c != 0; ++c) name += *c == '.' ? '_' : *c;
      return name;
    });

}  // namespace
}  // namespace binade
