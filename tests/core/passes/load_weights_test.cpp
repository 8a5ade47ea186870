// Weights that move between networks: layers keep their function, misfits are named on both sides, real files load.
#include "core/passes/load_weights.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/io/onnx_import.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/measure_batch_norm.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::random_images;
using test::run;
using test::small_network;

constexpr Shape kImage{1, 12, 12, 3};

/// Largest difference over largest value.
double difference(const Tensor<float>& a, const Tensor<float>& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double largest = 0, worst = 0;
  for (std::int64_t i = 0; i < a.count(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst / largest;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string refusal(const Graph& network, const Graph& source, LayerMap map, LayerPart part) {
  LoadedWeights loaded;
  try {
    load_weights(network, source, {.map = map, .part = part}, loaded);
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LoadWeights, TheSameNetworkGetsTheSameOutputs) {
  const Graph source = small_network(1), network = small_network(2);
  const Tensor<float> images = random_images(3, kImage, 5);
  for (const LayerMap map : {LayerMap::name, LayerMap::order, LayerMap::automatic}) {
    LoadedWeights loaded;
    const Graph result = load_weights(network, source, {.map = map, .part = LayerPart::all}, loaded);
    EXPECT_EQ(run(result, images), run(source, images));
    EXPECT_EQ(loaded.map, map == LayerMap::order ? LayerMap::order : LayerMap::name);
    EXPECT_TRUE(loaded.kept.empty() && loaded.unused.empty() && loaded.differences.empty());
  }
  EXPECT_GT(difference(run(network, images), run(source, images)), 0.1) << "the test would see nothing";
}

TEST(LoadWeights, FoldedAndUnfoldedLayersTakeFromEachOther) {
  const Graph source = small_network(1), network = small_network(2);
  const Tensor<float> images = random_images(3, kImage, 5);
  LoadedWeights loaded;
  const Graph identities =
      load_weights(network, fold_batch_norm(source), {.map = LayerMap::order, .part = LayerPart::all}, loaded);
  EXPECT_LT(difference(run(identities, images), run(source, images)), 1e-5);
  EXPECT_EQ(loaded.identities.size(), 10u);
  EXPECT_TRUE(contains(loaded.identities, "a.dw.bn"));
  const Graph folded =
      load_weights(fold_batch_norm(network), source, {.map = LayerMap::name, .part = LayerPart::all}, loaded);
  EXPECT_LT(difference(run(folded, images), run(source, images)), 1e-5);
  EXPECT_TRUE(loaded.identities.empty());
}

TEST(LoadWeights, EpsilonAndABiasInFrontOfABatchNormComeAlong) {
  Builder with(1), without(2);
  const ValueId x = with.input("x", kImage), y = without.input("x", kImage);
  const ValueId conv = with.conv("conv", x, {.channels = 6, .kernel = 3, .bias = true});
  Graph source = std::move(with).finish(with.batch_norm("norm", conv));
  source = test::with_random_batch_norms(std::move(source), 3, 0.5);
  source.set_attributes(1, BatchNorm{.epsilon = 0.1});
  for (const ValueId id : source.parameters()) {
    if (source.name(id) == "conv.bias") source.tensor(id)[2] = 0.7f;
  }
  const Graph network =
      std::move(without).finish(without.batch_norm("norm", without.conv("conv", y, {.channels = 6, .kernel = 3})));
  LoadedWeights loaded;
  const Graph result = load_weights(network, source, {.map = LayerMap::name, .part = LayerPart::all}, loaded);
  const Tensor<float> images = random_images(2, kImage, 5);
  EXPECT_LT(difference(run(result, images), run(source, images)), 1e-6);
  EXPECT_NE(refusal(fold_batch_norm(network), small_network(1), LayerMap::order, LayerPart::all), "accepted");
}

TEST(LoadWeights, MisfitsAreNamedOnBothSides) {
  Graph wide = small_network(1);
  Builder b(1);
  ValueId x = b.input("image", kImage);
  x = b.conv("stem", x, {.channels = 9, .kernel = 3});
  x = b.linear("classifier", b.add("pool", GlobalAvgPool{}, {x}), 7);
  const Graph narrow = std::move(b).finish(x);
  const std::string by_name = refusal(narrow, wide, LayerMap::name, LayerPart::all);
  for (const char* text : {"'stem' wants 9x3x3x3, 'stem' has weights of 8x3x3x3", "'classifier' wants 7x1x1x9"}) {
    EXPECT_NE(by_name.find(text), std::string::npos) << text << " in " << by_name;
  }
  const std::string by_order = refusal(narrow, wide, LayerMap::order, LayerPart::all);
  EXPECT_NE(by_order.find("2 layers want weights, 11 are there"), std::string::npos) << by_order;
  const std::string missing = refusal(wide, narrow, LayerMap::name, LayerPart::all);
  EXPECT_NE(missing.find("'a.expand' is not there"), std::string::npos) << missing;
}

TEST(LoadWeights, AMapOfNamesSaysWhatIsCalledOtherwise) {
  const Graph source = small_network(1), network = small_network(2);
  Graph other = rewrite(source, [](Rewriter& to, const Node& node) {  // every "a.x" is now "first/x"
    if (!node.name.starts_with("a.") || !std::holds_alternative<Conv2d>(node.op))
      return static_cast<void>(to.copy(node));
    const ValueId w = to.target().parameter("first/" + node.name.substr(2) + "/kernel", to.source().tensor(node.in[1]));
    to.replace(node.out, to.target().add(node.name, node.op, {to(node.in[0]), w}));
  });
  const Tensor<float> images = random_images(2, kImage, 5);
  const WeightOptions options{
      .names = {{"a.expand", "first.expand"}, {"a.dw.weight", "first/dw/kernel"}, {"a.project", "first.project"}}};
  LoadedWeights loaded;
  EXPECT_EQ(run(load_weights(network, other, options, loaded), images), run(source, images));
  EXPECT_EQ(loaded.map, LayerMap::name);
  EXPECT_NE(refusal(network, other, LayerMap::name, LayerPart::all).find("'a.dw' is not there"), std::string::npos);
  try {
    load_weights(network, other, {.names = {{"a.expnd", "first.expand"}}}, loaded);
    FAIL() << "a layer that does not exist was mapped";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'a.expand'?"), std::string::npos) << error.what();
  }
}

TEST(LoadWeights, WhatComputesOtherwiseIsSaid) {
  const Graph source = build_graph(find_model("mobilenet_v2"), {.width = 0.25, .input = {1, 32, 32, 3}});
  const Graph network =
      build_graph(find_model("mobilenet_v2_unetlite"), {.width = 0.25, .classes = 5, .input = {1, 32, 64, 3}});
  LoadedWeights loaded;
  const Graph result = load_weights(network, source, {.map = LayerMap::automatic, .part = LayerPart::encoder}, loaded);
  EXPECT_EQ(loaded.map, LayerMap::name);
  EXPECT_EQ(loaded.layers.size(), 51u);
  EXPECT_EQ(loaded.unused, (std::vector<std::string>{"features.18.0", "classifier.1"}));
  EXPECT_TRUE(contains(loaded.kept, "decoder.aspp.d1.0")) << loaded.kept.size();
  EXPECT_EQ(loaded.differences.size(), 34u) << "TI's ReLU in place of ReLU6";
  EXPECT_TRUE(contains(loaded.differences,
                       "features.0.0: Conv2d(stride_h=2, stride_w=2, pad_top=1, pad_left=1, pad_bottom=1, "
                       "pad_right=1), Clip there, Conv2d(stride_h=2, stride_w=2, pad_top=1, pad_left=1, "
                       "pad_bottom=1, pad_right=1), Relu here"))
      << loaded.differences[0];
  ValueId here{}, there{}, before{};
  for (const char* name : {"features.17.conv.2.weight", "features.17.conv.3.running_var"}) {
    ASSERT_TRUE(result.find(name, here) && source.find(name, there) && network.find(name, before));
    EXPECT_EQ(result.tensor(here), source.tensor(there)) << name;
  }
  ASSERT_TRUE(result.find("decoder.aspp.d1.0.weight", here) && network.find("decoder.aspp.d1.0.weight", before));
  EXPECT_EQ(result.tensor(here), network.tensor(before));
}

TEST(LoadWeights, MeasuredStatisticsKeepTheFunctionAndAreThoseOfTraining) {
  const Graph source = small_network(1);
  const Tensor<float> images = random_images(16, kImage, 5);
  LoadedWeights loaded;
  const Graph identities =
      load_weights(small_network(2), fold_batch_norm(source), {.map = LayerMap::order, .part = LayerPart::all}, loaded);
  const Graph measured = measure_batch_norm(identities, loaded.identities, images.view());
  EXPECT_LT(difference(run(measured, images), run(source, images)), 1e-5);
  const auto trained = [&](const Graph& graph) {
    Executor<float> executor(graph, {.mode = Mode::training});
    const View<const float> out = executor.forward(images.view());
    return Tensor<float>(out.shape, out.span());
  };
  EXPECT_LT(difference(trained(measured), run(source, images)), 1e-4);
  EXPECT_GT(difference(trained(identities), run(source, images)), 0.1) << "identities would be normalised away";
}

/// A zoo network with the weights of a file against the file's own network.
void expect_equal_outputs(const std::string& file, std::string_view model, LayerMap used, std::size_t layers,
                          const ModelOptions& options = {}) {
  const fs::path path = testing_tools::shared_data() / "weights" / file;
  if (!fs::exists(path)) GTEST_SKIP() << "no file " << path;
  const Graph source = import_onnx(path).graph;
  LoadedWeights loaded;
  const Graph result = load_weights(build_graph(find_model(model), options), source,
                                    {.map = LayerMap::automatic, .part = LayerPart::all}, loaded);
  EXPECT_EQ(loaded.map, used);
  EXPECT_EQ(loaded.layers.size(), layers);
  EXPECT_TRUE(loaded.kept.empty() && loaded.unused.empty()) << loaded.kept.size() << " " << loaded.unused.size();
  EXPECT_TRUE(loaded.differences.empty()) << loaded.differences[0];
  const Tensor<float> images = random_images(2, source.shape(source.inputs().front()), 5);
  EXPECT_LT(difference(run(result, images), run(source, images)), 1e-5);
}

TEST(LoadWeights, OfTorchvisionsMobileNetV2) {
  expect_equal_outputs("mobilenet_v2_1.0_224_torchvision.onnx", "mobilenet_v2", LayerMap::order, 53);
}

TEST(LoadWeights, OfResNet20) {
  expect_equal_outputs("resnet20_cifar10.onnx", "resnet20", LayerMap::order, 20);
}

TEST(LoadWeights, OfSqueezeNet) {
  expect_equal_outputs("squeezenet1.1_gluon.onnx", "squeezenet1_1", LayerMap::order, 26);
}

TEST(LoadWeights, OfKerasMobileNet) {
  expect_equal_outputs("mobilenet_v1_0.25_224_keras.onnx", "mobilenet_v1_keras", LayerMap::name, 28, {.width = 0.25});
}

TEST(LoadWeights, OfMlperfTiny) {
  expect_equal_outputs("mlperf_tiny_resnet8_cifar10.onnx", "mlperf_resnet8", LayerMap::order, 10);
  expect_equal_outputs("mlperf_tiny_kws_dscnn.onnx", "mlperf_dscnn", LayerMap::order, 10);
  expect_equal_outputs("mlperf_tiny_vww_mobilenetv1_0.25_96.onnx", "mlperf_mobilenet_v1", LayerMap::order, 28);
}

TEST(LoadWeights, OfTorchvisionsMobileNetV2InAnEncoder) {
  const fs::path path = testing_tools::shared_data() / "weights/mobilenet_v2_1.0_224_torchvision.onnx";
  if (!fs::exists(path)) GTEST_SKIP() << "no file " << path;
  const Graph source = import_onnx(path).graph;
  for (const char* model : {"mobilenet_v2_deeplabv3lite", "mobilenet_v2_unetlite", "mobilenet_v2_fpnlite"}) {
    const Graph network = build_graph(find_model(model), {.input = {1, 64, 64, 3}});
    LoadedWeights loaded;
    load_weights(network, source, {.map = LayerMap::automatic, .part = LayerPart::encoder}, loaded);
    EXPECT_EQ(loaded.layers.size(), 51u) << model;
    EXPECT_EQ(loaded.layers.back(), "features.17.conv.2 < features.17.project");
    EXPECT_EQ(loaded.unused.size(), 2u);
  }
}

}  // namespace
}  // namespace binade
