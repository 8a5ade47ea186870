// The fast mode on real networks and images: MobileNetV2, and ResNet20 with channels of very different size.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "calibration/calibrate.hpp"
#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/metrics.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/rescale_channels.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

Predictions predict(const Graph& graph, LoadedImages& images) {
  Executor<float> executor(graph);
  return evaluate([&](View<const float> batch) { return executor.forward(batch); }, images, {});
}

TEST(CalibrateRealNetworks, MobileNetV2KeepsItsLogits) {
  const fs::path data = testing_tools::shared_data();
  if (!fs::exists(data / "weights")) GTEST_SKIP() << data << " is not there";
  const Model model = load_model((data / "weights/mobilenet_v2_1.0_224_torchvision.onnx").string());
  LoadedImages seen(open_dataset({.root = data / "imagenet-sample", .images = 50}), model.preprocessing);
  LoadedImages others(open_dataset({.root = data / "imagenet-val650", .images = 150}), model.preprocessing);
  const Predictions wanted = predict(model.graph, others);
  const Predictions got = predict(calibrate(model.graph, seen, calibrate_preset("default", 8, 8)).quantized, others);
  EXPECT_GT(test::sqnr_db(wanted.logits, got.logits), 15);
}

TEST(CalibrateRealNetworks, RescaledResNet20Recovers) {
  const fs::path data = testing_tools::shared_data();
  if (!fs::exists(data / "weights")) GTEST_SKIP() << data << " is not there";
  const Model model = load_model((data / "weights/resnet20_cifar10.onnx").string());
  int pairs = 0;
  const Graph hard = harness::rescale_channels(fold_batch_norm(model.graph), 4, 7, pairs);
  const auto open = [&](const char* folder) { return open_dataset({.kind = "folder", .root = data / folder}); };
  LoadedImages test(open("cifar10-test"), model.preprocessing);
  LoadedImages seen(choose_images(open("cifar10-train"), 128, 0), model.preprocessing);
  const auto top1 = [&](const Graph& graph) { return accuracy(predict(graph, test)).top1; };
  const auto by = [&](const char* preset) {
    return top1(calibrate(hard, seen, calibrate_preset(preset, 8, 8)).quantized);
  };
  const double reference = top1(hard), fast = by("default"), simple = by("ti-simple");
  std::cout << "top-1: float " << reference << ", default " << fast << ", ti-simple " << simple << "\n";
  EXPECT_LT(simple, reference - 10);
  EXPECT_GE(fast, reference - 1);
}

}  // namespace
}  // namespace binade
