// The PTQ passes: what preserves the function does, what promises less noise delivers it.
#include <gtest/gtest.h>

#include "calibration/graph_walk.hpp"
#include "core/passes/channel_scales.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/pass.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

using test::random_images;
using test::run;
using test::small_network;
using test::sqnr_db;

class Passes : public testing::Test {
 protected:
  Graph network_ = small_network(3);
  Tensor<float> images_ = random_images(24, {1, 12, 12, 3}, 5);
  Tensor<float> wanted_ = run(network_, images_);
};

TEST_F(Passes, FoldingKeepsTheFunctionAndIsIdempotent) {
  const Graph folded = fold_batch_norm(network_);
  for (const Node& node : folded.nodes()) EXPECT_FALSE(std::holds_alternative<BatchNorm>(node.op)) << node.name;
  EXPECT_GT(sqnr_db(wanted_, run(folded, images_)), 100);
  const Graph again = fold_batch_norm(folded);
  ASSERT_EQ(again.nodes().size(), folded.nodes().size());
  EXPECT_EQ(run(again, images_), run(folded, images_));
}

TEST_F(Passes, ABatchNormWithNothingInFrontBecomesADepthwiseConvolution) {
  Builder b(1);
  const ValueId x = b.input("image", {1, 4, 4, 3});
  const Graph graph = test::with_random_batch_norms(std::move(b).finish(b.batch_norm("norm", x)), 2, 1);
  const Graph folded = fold_batch_norm(graph);
  ASSERT_EQ(folded.nodes().size(), 1U);
  EXPECT_EQ(folded.nodes()[0].name, "norm");
  const Tensor<float> images = random_images(3, {1, 4, 4, 3}, 1);
  EXPECT_GT(sqnr_db(run(graph, images), run(folded, images)), 120);
}

TEST_F(Passes, AnyFactorsKeepTheFunctionWhereChannelsAreFree) {
  const Graph folded = fold_batch_norm(network_);
  const ChannelScales scales(folded);
  ASSERT_GT(scales.count(), 50);
  Random random(9);
  std::vector<double> factors;
  for (int i = 0; i < scales.count(); ++i) factors.push_back(std::exp2(4 * random.uniform() - 2));
  // One factor for all channels of a Clip lets its limit follow.
  std::vector<double> limits(folded.nodes().size(), 0.0);
  for (std::size_t i = 0; i < folded.nodes().size(); ++i) {
    const Node& node = folded.nodes()[i];
    if (!std::holds_alternative<Clip>(node.op)) continue;
    const double factor = factors[static_cast<std::size_t>(scales.of(node.out, 0))];
    for (const int scale : scales.of(node.out)) factors[static_cast<std::size_t>(scale)] = factor;
  }
  for (std::size_t i = 0; i < folded.nodes().size(); ++i) {
    const Node& node = folded.nodes()[i];
    if (const auto* clip = std::get_if<Clip>(&node.op)) {
      limits[i] = clip->hi * factors[static_cast<std::size_t>(scales.of(node.out, 0))];
    }
  }
  const Graph other = scaled(folded, scales, factors, limits);
  EXPECT_GT(sqnr_db(wanted_, run(other, images_)), 90);
  EXPECT_NE(other.tensor(other.parameters()[0]), folded.tensor(folded.parameters()[0]));
}

TEST_F(Passes, LayersHaveTheirOwnWidths) {
  TensorImages images(images_);
  for (const char* preset : {"simple", "best"}) {
    PtqOptions options = ptq_preset(preset, 4, 6);
    options.layer_bits = {{"first", 8}, {"last", 9}, {"a.dw", 7}, {"head", 10}, {"b.expand", 5}};
    const SpecMap specs = quantizer_specs(post_training_quantize(network_, images, options).quantized);
    const auto bits = [&](const char* name) { return int{specs.at(name).bits}; };
    EXPECT_EQ(bits("image"), 8);
    EXPECT_EQ(bits("stem.weight"), 8);
    EXPECT_EQ(bits("stem.act"), 6) << "what the first layer writes";
    EXPECT_EQ(bits("a.expand.weight"), 4);
    EXPECT_EQ(bits("a.expand.act"), 7);
    EXPECT_EQ(bits("a.dw.weight"), 7);
    EXPECT_EQ(bits("a.dw.act"), 6);
    EXPECT_EQ(bits("a.add"), 5) << "also narrower than the rest";
    EXPECT_EQ(bits("join"), 10) << "through the pool, which keeps the grid";
    EXPECT_EQ(bits("head.weight"), 10);
    EXPECT_EQ(bits("classifier.weight"), 9);
    EXPECT_EQ(bits("classifier"), 9) << "the result";
  }
}

TEST_F(Passes, AWidthForNoLayerIsAMistake) {
  TensorImages images(images_);
  PtqOptions options = ptq_preset("simple", 8, 8);
  options.layer_bits = {{"a.dwx", 16}};
  try {
    post_training_quantize(network_, images, options);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'a.dw'"), std::string::npos) << error.what();
  }
}

TEST_F(Passes, WiderLayersMakeLessNoise) {
  TensorImages images(images_);
  PtqOptions options = ptq_preset("best", 4, 4);
  const double narrow = sqnr_db(wanted_, run(post_training_quantize(network_, images, options).quantized, images_));
  options.layer_bits = {{"first", 8}, {"last", 8}};
  const double wide = sqnr_db(wanted_, run(post_training_quantize(network_, images, options).quantized, images_));
  EXPECT_GT(wide, narrow + 1);
}

TEST_F(Passes, QuantizersSitWhereTheDeviceHasThem) {
  const Graph folded = fold_batch_norm(network_);
  std::vector<std::string> names;
  for (const ValueId id : quantized_values(folded)) names.push_back(folded.name(id));
  const std::vector<std::string> wanted{"image",    "stem.act",     "a.expand.act", "a.dw.act",  "a.project",
                                        "a.add",    "b.expand.act", "b.dw.act",     "b.project", "b.add",
                                        "left.act", "right.act",    "join",         "head",      "classifier"};
  EXPECT_EQ(names, wanted);
}

TEST_F(Passes, BiasGridsFollowInputAndWeights) {
  TensorImages images(images_);
  const PtqResult result = post_training_quantize(network_, images, ptq_preset("simple", 8, 8));
  int seen = 0;
  for (const Node& node : result.quantized.nodes()) {
    if (!has_bias(node)) continue;
    const auto x = spec_of(result.quantized, node.in[kInput]), w = spec_of(result.quantized, node.in[kWeights]);
    const auto b = spec_of(result.quantized, node.in[kBias]);
    ASSERT_TRUE(x && w && b) << node.name;
    EXPECT_EQ(b->frac, x->frac + w->frac);
    EXPECT_EQ(b->bits, 32);
    ++seen;
  }
  EXPECT_EQ(seen, 11);
}

TEST_F(Passes, ChangingNoSpecChangesNothing) {
  TensorImages images(images_);
  const PtqResult result = post_training_quantize(network_, images, ptq_preset("simple", 8, 8));
  const Graph same = with_specs(result.quantized, {}, {});
  EXPECT_EQ(run(same, images_), run(result.quantized, images_));
  EXPECT_EQ(quantizer_specs(same), quantizer_specs(result.quantized));
}

TEST_F(Passes, EachPresetBeatsTheSimplerOne) {
  TensorImages images(images_);
  const auto quality = [&](const std::string& preset, int bits) {
    const PtqResult result = post_training_quantize(network_, images, ptq_preset(preset, bits, bits));
    return sqnr_db(wanted_, run(result.quantized, images_));
  };
  const double simple = quality("simple", 8), best = quality("best", 8), best16 = quality("best", 16);
  EXPECT_GT(best, simple + 5);
  EXPECT_GT(best16, best + 30);
}

TEST_F(Passes, SixteenBitOperandsDoNotSaturateBiases) {
  // Weights and activations of 16 bits make accumulator units of some 2^-27: a 32-bit bias at that scale ends at 16.
  const QuantSpec x{.frac = 14, .bits = 16, .is_signed = false}, w{.frac = 17, .bits = 16, .is_signed = true};
  const QuantSpec fine = bias_spec(x, w, 0.9, 32), coarse = bias_spec(x, w, 3.0, 32);
  EXPECT_EQ(fine.frac, 31);
  EXPECT_EQ(coarse.frac, 29);
  EXPECT_GE(coarse.max_real(), 3.0);
  EXPECT_EQ(bias_spec(x, w, 3.0, 8).frac, 5);
}

/// Images that calibration did not see must not be cut: they decide, over several networks.
TEST(HeldOutImages, KeepTheQuality) {
  const Tensor<float> seen = random_images(24, {1, 12, 12, 3}, 5), others = random_images(64, {1, 12, 12, 3}, 77);
  double gain = 0;
  for (const std::uint64_t seed : {3, 4, 5, 6}) {
    const Graph network = small_network(seed);
    const Tensor<float> wanted = run(network, others);
    TensorImages images(seen);
    const auto quality = [&](const std::string& preset, int bits) {
      const PtqResult result = post_training_quantize(network, images, ptq_preset(preset, bits, bits));
      return sqnr_db(wanted, run(result.quantized, others));
    };
    const double simple = quality("simple", 8), best = quality("best", 8);
    EXPECT_GT(best, simple) << seed;
    EXPECT_GT(quality("best", 16), 55) << seed;
    gain += (best - simple) / 4;
  }
  EXPECT_GT(gain, 4);  // dB
}

TEST_F(Passes, WeightsOfTheResultLieOnTheirGrids) {
  TensorImages images(images_);
  const PtqResult result = post_training_quantize(network_, images, ptq_preset("best", 8, 8));
  for (const Node& node : result.quantized.nodes()) {
    const auto* quantizer = std::get_if<FakeQuant>(&node.op);
    if (quantizer == nullptr || !result.quantized.is_parameter(node.in[0]) || quantizer->spec.bits > 16) continue;
    for (const float w : result.quantized.tensor(node.in[0]).span()) {
      ASSERT_EQ(w, fake_quantize(w, quantizer->spec, quantizer->rounding)) << node.name;
    }
  }
}

TEST_F(Passes, ResultsDoNotDependOnThreadsOrBatch) {
  TensorImages images(images_);
  PtqOptions options = ptq_preset("best", 8, 8);
  const int threads = thread_count();
  set_thread_count(1);
  const Tensor<float> one = run(post_training_quantize(network_, images, options).quantized, images_);
  set_thread_count(3);
  options.batch = 7;
  const Tensor<float> three = run(post_training_quantize(network_, images, options).quantized, images_);
  set_thread_count(threads);
  EXPECT_EQ(one, three);
}

TEST_F(Passes, TiClampsOnlyPathologicalWeights) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, 4});
  Tensor<float> w({2, 1, 1, 4}, 1.0F);
  w[3] = 40;
  const ValueId y = graph.add("y", Linear{}, {x, graph.parameter("w", w)});
  w[3] = 14;
  graph.set_output(graph.add("z", Linear{},
                             {graph.add("s", Slice{.axis = 3, .begin = 0, .end = 2}, {y}),
                              graph.parameter("v", Tensor<float>({2, 1, 1, 2}, 14.0F))}));
  TensorImages images(random_images(2, {1, 1, 1, 4}, 1));
  PtqOptions options;
  nlohmann::json report;
  PassContext context{.images = images, .options = options, .report = report, .reference = graph, .quantizers = {}};
  const Graph clipped = clip_weights(graph, context);
  ValueId id{};
  ASSERT_TRUE(clipped.find("w", id));
  EXPECT_EQ(clipped.tensor(id)[3], 15.0F);  // Appendix C: max 40, median 1
  EXPECT_EQ(clipped.tensor(id)[0], 1.0F);
  EXPECT_EQ(report["clipped"].size(), 1U);
}

// Whatever is done to the weights that go on grids, biases are corrected against the network that was given.
TEST_F(Passes, TiClampsTheQuantizedNetworkAndFollowsTheFloatOne) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, 4});
  Tensor<float> w({2, 1, 1, 4}, 1.0F);
  w[3] = 40;
  graph.set_output(
      graph.add("y", Linear{}, {x, graph.parameter("w", w), graph.parameter("b", Tensor<float>({1, 1, 1, 2}))}));
  Tensor<float> seen = random_images(64, {1, 1, 1, 4}, 1);
  for (float& v : seen.span()) v = std::abs(v);
  double wanted = 0;
  for (std::int64_t i = 0; i < 64; ++i)
    wanted += (seen[4 * i] + seen[4 * i + 1] + seen[4 * i + 2] + 40 * seen[4 * i + 3]) / 64;
  TensorImages images(seen);
  PtqOptions options = ptq_preset("tidl", 8, 8);
  options.bias_bits = 32;
  const PtqResult result = post_training_quantize(graph, images, options);
  ValueId id{};
  ASSERT_TRUE(result.quantized.find("w", id));
  EXPECT_EQ(result.quantized.tensor(id)[3], 15.0F);
  ASSERT_TRUE(result.reference.find("w", id));
  EXPECT_EQ(result.reference.tensor(id)[3], 40.0F);
  ASSERT_TRUE(result.quantized.find("b", id));
  double mean = static_cast<double>(result.quantized.tensor(id)[0]);  // of the clamped layer, and its input's codes
  const QuantSpec grid = quantizer_specs(result.quantized).at("x");
  for (std::int64_t i = 0; i < 256; ++i) {
    mean += (i % 4 == 3 ? 15.0 : 1.0) / 64 * static_cast<double>(fake_quantize(seen[i], grid, Rounding::half_up));
  }
  EXPECT_NEAR(mean, wanted, 1e-4);
}

TEST_F(Passes, ExactPassesComeFirst) {
  TensorImages images(images_);
  PtqOptions options = ptq_preset("tidl", 8, 8);
  options.passes = {"fold_batch_norm", "clip_weights", "rescale_channels", "quantize"};
  EXPECT_THROW(post_training_quantize(network_, images, options), UsageError);
}

TEST_F(Passes, AWalkSeesWhatAStraightRunSees) {
  const Graph folded = fold_batch_norm(network_);
  TensorImages images(images_);
  GraphWalk walk(folded, images, 24);
  for (int i = 0; i < static_cast<int>(folded.nodes().size()); i += 5) {
    walk.advance_before(i);
    const ValueId target = folded.nodes()[static_cast<std::size_t>(i)].out;
    Tensor<float> seen(folded.shape(target).with_batch(24));
    walk.run(std::array{target}, [&](ValueId id, View<const float> view, int first) {
      if (id == target) std::copy_n(view.data, view.count(), seen.view().images(first, view.shape.n).data);
    });
    const Graph front = extract(folded, folded.inputs(), std::array{target});
    EXPECT_EQ(seen, run(front, images_)) << folded.name(target);
  }
}

TEST_F(Passes, UnknownNamesAreUsageErrors) {
  TensorImages images(images_);
  PtqOptions options = ptq_preset("simple", 8, 8);
  options.passes = {"fold_batch_norm", "quantise"};
  EXPECT_THROW(post_training_quantize(network_, images, options), UsageError);
  EXPECT_THROW(ptq_preset("bestest", 8, 8), UsageError);
}

}  // namespace
}  // namespace binade
