// More bits never lose: the logits' signal over noise at any widths is at most half a decibel below that at fewer bits.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "calibration/calibrate.hpp"
#include "core/formats/formats.hpp"
#include "core/passes/channel_scales.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "datasets/evaluate.hpp"
#include "ptq/ptq.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/rescale_channels.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

struct Widths2 {
  int weights, activations;
};
constexpr Widths2 kWidths[] = {{4, 8}, {8, 8}, {8, 12}, {8, 16}, {12, 12}, {16, 8}, {16, 16}};

/// `quantize(weight bits, activation bits)` for all widths; `sqnr` of what it makes.
void expect_more_bits_never_lose(const std::function<Graph(int, int)>& quantize,
                                 const std::function<double(const Graph&)>& sqnr) {
  std::vector<double> found;
  for (const auto& [weights, activations] : kWidths) found.push_back(sqnr(quantize(weights, activations)));
  for (std::size_t few = 0; few < found.size(); ++few) {
    for (std::size_t more = 0; more < found.size(); ++more) {
      const Widths2 a = kWidths[few], b = kWidths[more];
      if (a.weights > b.weights || a.activations > b.activations) continue;
      EXPECT_GE(found[more], found[few] - 0.5)
          << "w" << b.weights << "a" << b.activations << " against w" << a.weights << "a" << a.activations;
    }
  }
  EXPECT_GT(found.back(), found.front() + 20);
}

/// Both ways to quantize, on images that were not calibrated on.
void check(const Graph& network, ImageSource& seen, const Tensor<float>& others) {
  const Tensor<float> wanted = test::run(network, others);
  const auto sqnr = [&](const Graph& quantized) { return test::sqnr_db(wanted, test::run(quantized, others)); };
  {
    SCOPED_TRACE("ptq");
    expect_more_bits_never_lose(
        [&](int w, int a) { return post_training_quantize(network, seen, ptq_preset("best", w, a)).quantized; }, sqnr);
  }
  SCOPED_TRACE("calibration");
  expect_more_bits_never_lose(
      [&](int w, int a) { return calibrate(network, seen, calibrate_preset("default", w, a)).quantized; }, sqnr);
}

TEST(MoreBits, NeverLoseOnSmallNetworks) {
  for (const std::uint64_t seed : {3u, 4u}) {
    SCOPED_TRACE(seed);
    const Graph network = test::small_network(seed);
    TensorImages seen(test::random_images(128, {1, 12, 12, 3}, 5));
    check(network, seen, test::random_images(256, {1, 12, 12, 3}, 6));
    int pairs = 0;
    SCOPED_TRACE("rescaled");
    check(harness::rescale_channels(fold_batch_norm(network), 7, seed, pairs), seen,
          test::random_images(256, {1, 12, 12, 3}, 6));
  }
}

TEST(MoreBits, NeverLoseOnResNet8) {
  const fs::path data = testing_tools::shared_data();
  if (!fs::exists(data / "weights")) GTEST_SKIP() << data << " is not there";
  const Model model = load_model((data / "weights/mlperf_tiny_resnet8_cifar10.onnx").string());
  const auto open = [&](const char* folder, int images) {
    return open_dataset({.kind = "folder", .root = data / folder, .images = images});
  };
  LoadedImages seen(open("cifar10-train", 128), model.preprocessing),
      test(open("cifar10-test", 300), model.preprocessing);
  const View<const float> view = test.images(0, test.count());
  const Tensor<float> others(view.shape, view.span());
  check(model.graph, seen, others);
  int pairs = 0;
  SCOPED_TRACE("rescaled");
  check(harness::rescale_channels(fold_batch_norm(model.graph), 7, 1, pairs), seen, others);
  EXPECT_GT(pairs, 0);
}

// A constant factor between a layer and a Concat does not stop channels from being scaled.
TEST(ChannelScales, GoThroughAProductWithAConstant) {
  Graph graph;
  const ValueId x = graph.input("image", {1, 4, 4, 3});
  const auto random = [&](const char* name, Shape shape, std::uint64_t seed) {
    return graph.parameter(name, test::random_images(shape.n, {1, shape.h, shape.w, shape.c}, seed));
  };
  const ValueId left = graph.add("left", Conv2d{}, {x, random("wl", {4, 1, 1, 3}, 1)});
  const ValueId right = graph.add("right", Conv2d{}, {x, random("wr", {4, 1, 1, 3}, 2)});
  const ValueId by = graph.parameter("by", Tensor<float>({1, 1, 1, 1}, 200.0F));
  const ValueId big = graph.add("big", Mul{}, {right, by}), join = graph.add("join", Concat{}, {left, big});
  graph.set_output(graph.add("last", Conv2d{}, {join, random("w", {2, 1, 1, 8}, 3)}));
  const ChannelScales scales(graph);
  ASSERT_EQ(scales.count(), 8);
  std::vector<double> factors(8, 1.0);
  for (int c = 0; c < 4; ++c) factors[static_cast<std::size_t>(scales.of(big, c))] = 1.0 / 128;
  const Graph other = scaled(graph, scales, factors, std::vector<double>(graph.nodes().size()));
  const Tensor<float> images = test::random_images(4, {1, 4, 4, 3}, 1);
  EXPECT_GT(test::sqnr_db(test::run(graph, images), test::run(other, images)), 100);
  ValueId moved{}, kept{};
  ASSERT_TRUE(other.find("wr", moved) && other.find("wl", kept));
  EXPECT_EQ(other.tensor(moved)[0], graph.tensor(graph.parameters()[1])[0] / 128);
  EXPECT_EQ(other.tensor(kept), graph.tensor(graph.parameters()[0]));
}

}  // namespace
}  // namespace binade
