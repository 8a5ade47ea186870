// What each pass of `best` promises by itself, against computations of this file's own.
#include <gtest/gtest.h>

#include <cmath>

#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/pass.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

using test::random_images;
using test::run;
using test::small_network;

constexpr int kInputs = 16, kOutputs = 6;

/// y = W x + b, whose input has so fine a grid that only the weights make noise.
Graph one_layer(const Tensor<float>& weights) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, kInputs});
  const ValueId b = graph.parameter("b", Tensor<float>({1, 1, 1, kOutputs}));
  graph.set_output(graph.add("y", Linear{}, {x, graph.parameter("w", weights), b}));
  return graph;
}

Tensor<float> random_weights(std::uint64_t seed) {
  Tensor<float> weights({kOutputs, 1, 1, kInputs});
  Random random(seed);
  for (float& w : weights.span()) w = static_cast<float>(0.2 * random.normal());
  return weights;
}

PtqOptions narrow_weights(std::vector<std::string> passes) {
  PtqOptions options = ptq_preset("simple", 4, 16);
  options.passes = std::move(passes);
  return options;
}

Tensor<float> weights_of(const Graph& graph) {
  ValueId id{};
  EXPECT_TRUE(graph.find("w", id));
  return graph.tensor(id);
}

/// Sum over images and outputs of the square of (W' - W) x, the mean over the images of each output removed if
/// `centred`: what a bias can make up for.
double output_noise(const Tensor<float>& wanted, const Tensor<float>& got, const Tensor<float>& x, bool centred) {
  double total = 0;
  const std::int64_t images = x.shape().n;
  for (int o = 0; o < kOutputs; ++o) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < images; ++i) {
      double error = 0;
      for (int k = 0; k < kInputs; ++k) {
        const std::int64_t w = std::int64_t{o} * kInputs + k;
        error +=
            (static_cast<double>(got[w]) - static_cast<double>(wanted[w])) * static_cast<double>(x[i * kInputs + k]);
      }
      sum += error;
      squares += error * error;
    }
    total += squares - (centred ? sum * sum / static_cast<double>(images) : 0);
  }
  return total;
}

Tensor<float> on_grid(Tensor<float> tensor, QuantSpec spec) {
  for (float& w : tensor.span()) w = fake_quantize(w, spec, Rounding::half_away);
  return tensor;
}

/// Images of one input each, with either sign: the mean is zero and no two inputs move together, so noise adds up
/// exactly as the search assumes.
Tensor<float> one_input_at_a_time() {
  Tensor<float> x({4 * kInputs, 1, 1, kInputs});
  for (int i = 0; i < 4 * kInputs; ++i) {
    const int input = i / 4;
    x[std::int64_t{i} * kInputs + input] = (i % 2 == 0 ? 1.0F : -1.0F) * (1 + static_cast<float>(input) / 8);
  }
  return x;
}

TEST(SearchExponents, FindsTheWeightsGridOfLeastNoiseAtTheOutput) {
  const Tensor<float> x = one_input_at_a_time();
  int finer = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    Tensor<float> weights = random_weights(seed);
    weights[5] = 1.05F;  // min_max takes steps of 0.25 for this one alone
    TensorImages images(x);
    const Graph graph = one_layer(weights);
    const PtqResult start = post_training_quantize(graph, images, narrow_weights({"fold_batch_norm", "quantize"}));
    const PtqResult result =
        post_training_quantize(graph, images, narrow_weights({"fold_batch_norm", "quantize", "search_exponents"}));
    const QuantSpec chosen = quantizer_specs(result.quantized).at("w");
    EXPECT_EQ(chosen.bits, 4);
    const double noise = output_noise(weights, on_grid(weights, chosen), x, false);
    for (int change = -3; change <= 3; ++change) {
      QuantSpec other = chosen;
      other.frac = static_cast<std::int8_t>(other.frac + change);
      EXPECT_GE(output_noise(weights, on_grid(weights, other), x, false), noise) << "seed " << seed << ", " << change;
    }
    finer += chosen.frac > quantizer_specs(start.quantized).at("w").frac ? 1 : 0;
  }
  EXPECT_GT(finer, 0) << "the search moved nothing";
}

TEST(RoundWeights, MakesLessNoiseThanTheNearestValuesDo) {
  // Inputs that move together: errors of the weights of one output can cancel.
  const auto together = [](int count, std::uint64_t seed) {
    Tensor<float> x = random_images(count, {1, 1, 1, kInputs}, seed);
    Random random(seed, 3);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto common = static_cast<float>(random.normal());
      for (int k = 0; k < kInputs; ++k) x[i * kInputs + k] = 0.5F + common + 0.2F * x[i * kInputs + k];
    }
    return x;
  };
  const Tensor<float> seen = together(64, 1), others = together(500, 2), weights = random_weights(7);
  TensorImages images(seen);
  const Graph graph = one_layer(weights);
  const PtqResult result =
      post_training_quantize(graph, images, narrow_weights({"fold_batch_norm", "quantize", "round_weights"}));
  const QuantSpec grid = quantizer_specs(result.quantized).at("w");
  const Tensor<float> rounded = weights_of(result.quantized), nearest = on_grid(weights, grid);
  EXPECT_EQ(rounded, on_grid(rounded, grid)) << "on the grid";
  EXPECT_NE(rounded, nearest);
  EXPECT_LT(output_noise(weights, rounded, seen, true), 0.5 * output_noise(weights, nearest, seen, true));
  EXPECT_LT(output_noise(weights, rounded, others, true), output_noise(weights, nearest, others, true));
}

/// Mean over images and pixels of each channel of a value.
std::vector<double> channel_means(const Graph& graph, ValueId id, const Tensor<float>& images) {
  const Tensor<float> values = run(extract(graph, graph.inputs(), std::array{id}), images);
  const int channels = values.shape().c;
  std::vector<double> means(static_cast<std::size_t>(channels), 0.0);
  for (std::int64_t i = 0; i < values.count(); ++i) {
    means[static_cast<std::size_t>(i % channels)] += static_cast<double>(values[i]);
  }
  for (double& mean : means) mean /= static_cast<double>(values.count() / channels);
  return means;
}

TEST(CorrectBias, LeavesEveryLayersMeanWhereTheFloatNetworkHasIt) {
  const Tensor<float> seen = random_images(24, {1, 12, 12, 3}, 5);
  const Graph network = small_network(3);
  TensorImages images(seen);
  PtqOptions options = ptq_preset("simple", 5, 8);
  int layers = 0, moved = 0;
  for (const bool corrected : {false, true}) {
    if (corrected) options.passes.emplace_back("correct_bias");
    const PtqResult result = post_training_quantize(network, images, options);
    for (const Node& node : result.quantized.nodes()) {
      if (!has_bias(node)) continue;
      ValueId twin{};
      ASSERT_TRUE(result.reference.find(node.name, twin)) << node.name;
      const auto wanted = channel_means(result.reference, twin, seen),
                 got = channel_means(result.quantized, node.out, seen);
      // The bias before and after the pass is rounded, each by half a step of its grid at most.
      const double step = std::exp2(-spec_of(result.quantized, node.in[kBias])->frac);
      for (std::size_t c = 0; c < wanted.size(); ++c) {
        const double error = std::abs(wanted[c] - got[c]);
        if (corrected) {
          EXPECT_LE(error, step + 1e-5) << node.name << ", channel " << c;
        } else {
          moved += error > step + 1e-5 ? 1 : 0;
        }
      }
      layers += corrected ? 1 : 0;
    }
  }
  EXPECT_EQ(layers, 11);
  EXPECT_GT(moved, 20) << "there was nothing to correct";
}

}  // namespace
}  // namespace binade
