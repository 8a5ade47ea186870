// Exported networks, read back by our importer, compute what they computed: the whole zoo, and random networks.
#include "core/io/onnx_export.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/check_op.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/quantized_network.hpp"
#include "tests/harness/small_networks.hpp"
#include "tests/harness/zoo.hpp"

namespace binade {
namespace {

using test::random_images;
using test::run;

Model read_back(const Model& model) {
  const std::string bytes = onnx_bytes(model);
  return import_onnx(std::as_bytes(std::span(bytes)), "exported.onnx");
}

/// Largest difference over largest value.
double difference(const Tensor<float>& a, const Tensor<float>& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double largest = 1e-30, worst = 0;
  for (std::int64_t i = 0; i < std::min(a.count(), b.count()); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst / largest;
}

TEST(OnnxExport, EveryNetworkOfTheZooComesBackWithTheSameOutputs) {
  for (const ModelEntry& entry : model_table()) {
    SCOPED_TRACE(entry.name);
    Model model = build_model(entry.name, test::small_options(entry));
    model.graph = test::with_random_batch_norms(std::move(model.graph), 3, 0.2);
    const Model read = read_back(model);
    EXPECT_EQ(read.name, model.name);
    EXPECT_EQ(read.task, model.task);
    EXPECT_EQ(read.preprocessing, model.preprocessing);
    EXPECT_EQ(read.notes.at("source"), model.notes.at("source"));
    const Tensor<float> images = random_images(2, model.graph.shape(model.graph.inputs()[0]), 5);
    const Tensor<float> before = run(model.graph, images);
    EXPECT_TRUE(std::any_of(before.span().begin(), before.span().end(), [](float v) { return v != 0; }));
    EXPECT_LT(difference(before, run(read.graph, images)), 1e-6);
  }
}

TEST(OnnxExport, WritingWhatWasReadGivesTheSameBytes) {
  Model model = build_model("mlperf_dscnn");
  model.classes = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "silence", "a \"word\""};
  const Model once = read_back(model), twice = read_back(once);
  EXPECT_EQ(once.classes, model.classes);
  EXPECT_EQ(onnx_bytes(once), onnx_bytes(twice));
}

TEST(OnnxExport, RandomNetworksComeBack) {
  harness::fuzz(200, [](std::uint64_t seed, Random& random) {
    Model model{.name = "random"};
    model.graph = harness::random_network(random, 14);
    const Tensor<float> images = harness::random_images(model.graph, 2, random);
    const Model read = read_back(model);
    EXPECT_LT(difference(run(model.graph, images), run(read.graph, images)), 1e-5) << "seed " << seed;
  });
}

TEST(OnnxExport, RealNetworksComeBack) {
  const std::filesystem::path folder = testing_tools::shared_data() / "weights";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no folder " << folder;
  for (const std::string name : {"espnet_p2_q8_camvid", "squeezenet1.1_gluon", "mobilenet_v1_0.25_224_keras",
                                 "resnet20_cifar10", "mlperf_tiny_kws_dscnn"}) {
    SCOPED_TRACE(name);
    const Model model = import_onnx(folder / (name + ".onnx")), read = read_back(model);
    EXPECT_EQ(read.preprocessing, model.preprocessing);
    EXPECT_EQ(read.classes, model.classes);
    const Tensor<float> images = random_images(1, model.graph.shape(model.graph.inputs()[0]), 5);
    EXPECT_EQ(run(model.graph, images), run(read.graph, images));
  }
}

TEST(OnnxExport, EveryNodeWithoutAPlainFormIsNamed) {
  Model model{.name = "quantized"};
  const ValueId x = model.graph.input("x", {1, 4, 4, 2});
  const ValueId q = model.graph.add("x.q", FakeQuant{}, {x});
  const ValueId y = model.graph.add("relu", Relu{}, {q});
  const auto ones = [&](const char* name) { return model.graph.parameter(name, Tensor<float>({1, 1, 1, 2}, 1.0f)); };
  const ValueId norm = model.graph.add("norm", LayerNorm{}, {y, ones("gamma"), ones("beta")});
  model.graph.set_output(model.graph.add("pool", GlobalAvgPool{}, {norm}));
  try {
    onnx_bytes(model);
    FAIL() << "exported";
  } catch (const DataError& error) {
    const std::string what = error.what();
    for (const char* text : {"2 of the 4 nodes", "'x.q' (FakeQuant): it is a quantizer", "'norm' (LayerNorm)"}) {
      EXPECT_NE(what.find(text), std::string::npos) << text << " in " << what;
    }
  }
}

}  // namespace
}  // namespace binade
