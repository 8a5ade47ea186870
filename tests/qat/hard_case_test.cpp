// ResNet20 with the channels inside each block rescaled by 2^-4 .. 2^4: the same function, and hard to quantize.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "datasets/evaluate.hpp"
#include "datasets/metrics.hpp"
#include "ptq/ptq.hpp"
#include "qat/qat.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/rescale_channels.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

TEST(HardCase, RescaledResNet20Recovers) {
  const fs::path data = testing_tools::shared_data();
  if (!fs::exists(data / "weights")) GTEST_SKIP() << data << " is not there";
  const Model model = load_model((data / "weights/resnet20_cifar10.onnx").string());
  int pairs = 0;
  const Graph network = fold_batch_norm(model.graph);
  const Graph hard = harness::rescale_channels(network, 4, 7, pairs);
  EXPECT_EQ(pairs, 9);  // one per block

  const auto open = [&](const char* folder) { return open_dataset({.kind = "folder", .root = data / folder}); };
  LoadedImages test(open("cifar10-test"), model.preprocessing);
  LoadedImages seen(choose_images(open("cifar10-train"), 128, 0), model.preprocessing);
  const auto predict = [&](const Graph& graph) {
    Executor<float> executor(graph);
    return evaluate([&](View<const float> images) { return executor.forward(images); }, test, {});
  };
  const Predictions wanted = predict(network), same = predict(hard);
  float largest = 0, difference = 0;
  for (std::int64_t i = 0; i < wanted.logits.count(); ++i) {
    largest = std::max(largest, std::abs(wanted.logits[i]));
    difference = std::max(difference, std::abs(wanted.logits[i] - same.logits[i]));
  }
  EXPECT_LT(difference, 1e-5f * largest);
  const double reference = accuracy(wanted).top1;

  const PtqResult simple = post_training_quantize(hard, seen, ptq_preset("simple", 8, 8));
  const PtqResult equalised = post_training_quantize(hard, seen, ptq_preset("best", 8, 8));
  TrainingLoader training(open("cifar10-train"), model.preprocessing, {.area_min = 0.6}, 0);
  QatOptions options = qat_presets()[0].make(8, 8);
  options.train.epochs = 1;
  const Graph start = with_free_weights(equalised.quantized, equalised.reference);
  const Graph trained = quantization_aware_train(start, hard, training, options).quantized;
  const double by_simple = accuracy(predict(simple.quantized)).top1;
  const double by_ptq = accuracy(predict(equalised.quantized)).top1, by_qat = accuracy(predict(trained)).top1;
  std::cout << "top-1: float " << reference << ", simple PTQ " << by_simple << ", PTQ with equalisation " << by_ptq
            << ", QAT from it " << by_qat << "\n";
  EXPECT_LT(by_simple, reference - 10);
  EXPECT_GE(by_ptq, reference - 1);
  EXPECT_GE(by_qat, reference - 1);
}

}  // namespace
}  // namespace binade
