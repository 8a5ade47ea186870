// PTQ on real networks and images, where they are: quality on images that calibration did not see.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "datasets/evaluate.hpp"
#include "ptq/ptq.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

struct Quality {
  double sqnr_db = 0, agreement = 0;
};

/// `preset` at `bits`, calibrated on `seen`, against float on `others`.
Quality quality_of(const Model& model, LoadedImages& seen, LoadedImages& others, const std::string& preset, int bits) {
  const auto predict = [&](const Graph& graph) {
    Executor<float> executor(graph);
    return evaluate([&](View<const float> images) { return executor.forward(images); }, others, {});
  };
  const Predictions wanted = predict(model.graph);
  const Predictions got = predict(post_training_quantize(model.graph, seen, ptq_preset(preset, bits, bits)).quantized);
  int agree = 0;
  for (std::size_t i = 0; i < wanted.top1.size(); ++i) agree += wanted.top1[i] == got.top1[i] ? 1 : 0;
  return {test::sqnr_db(wanted.logits, got.logits), 100.0 * agree / static_cast<double>(wanted.top1.size())};
}

class RealNetworks : public testing::Test {
 protected:
  fs::path data_ = testing_tools::shared_data();
  void SetUp() override {
    if (!fs::exists(data_ / "weights")) GTEST_SKIP() << data_ << " is not there";
  }
};

TEST_F(RealNetworks, MobileNetV2KeepsItsLogits) {
  const Model model = load_model((data_ / "weights/mobilenet_v2_1.0_224_torchvision.onnx").string());
  LoadedImages seen(open_dataset({.root = data_ / "imagenet-sample", .images = 50}), model.preprocessing);
  LoadedImages others(open_dataset({.root = data_ / "imagenet-val650", .images = 150}), model.preprocessing);
  const Quality best = quality_of(model, seen, others, "best", 8),
                simple = quality_of(model, seen, others, "simple", 8);
  EXPECT_GT(best.sqnr_db, 15);
  EXPECT_GE(best.agreement, 92);
  EXPECT_LT(simple.agreement, 70);  // the hard case: without care it collapses
  const Quality fine = quality_of(model, seen, others, "best", 16);
  EXPECT_GT(fine.sqnr_db, 45);
  EXPECT_GE(fine.agreement, 99);
}

TEST_F(RealNetworks, ResNet8KeepsItsLogits) {
  const Model model = load_model((data_ / "weights/mlperf_tiny_resnet8_cifar10.onnx").string());
  LoadedImages seen(open_dataset({.kind = "folder", .root = data_ / "cifar10-train", .images = 100}),
                    model.preprocessing);
  LoadedImages others(open_dataset({.kind = "folder", .root = data_ / "cifar10-test", .images = 500}),
                      model.preprocessing);
  EXPECT_GT(quality_of(model, seen, others, "best", 8).sqnr_db, 28);
  EXPECT_GT(quality_of(model, seen, others, "best", 16).sqnr_db, 60);
}

}  // namespace
}  // namespace binade
