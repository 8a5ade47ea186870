// Quantizers in and out of training: nothing changes by going there, and what was learned comes back.
#include "qat/training_graph.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/passes/verify_integer.hpp"
#include "tests/qat/small_quantized.hpp"

namespace binade {
namespace {

std::vector<float> output(const Graph& graph, const Tensor<float>& images) {
  Executor<float> executor(graph);
  const View<const float> view = executor.forward(images.view());
  return {view.data, view.data + view.count()};
}

template <class O>
int count(const Graph& graph) {
  int found = 0;
  for (const Node& node : graph.nodes()) found += std::holds_alternative<O>(node.op) ? 1 : 0;
  return found;
}

TEST(TrainingGraph, GoingThereChangesNoOutput) {
  const Graph quantized = small_quantized(tiny_network(), 8, 8);
  const Tensor<float> images = stripe_images(8, 5);
  const std::vector<float> wanted = output(quantized, images);
  for (const QuantizerKind& kind : quantizer_kinds()) {
    SCOPED_TRACE(kind.name);
    const Graph training = training_graph(quantized, {.quantizer = std::string(kind.name)});
    const std::vector<float> found = output(training, images);
    if (kind.name == "lsq") {  // its biases are float
      for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-5);
      EXPECT_EQ(count<FakeQuant>(training), 0);
      EXPECT_EQ(count<Lsq>(frozen_graph(training)), count<Lsq>(training));
    } else {
      EXPECT_EQ(found, wanted);
      const Graph frozen = frozen_graph(training);
      ASSERT_EQ(frozen.nodes().size(), quantized.nodes().size());
      for (std::size_t i = 0; i < frozen.nodes().size(); ++i) {
        EXPECT_EQ(frozen.nodes()[i].name, quantized.nodes()[i].name);
        EXPECT_EQ(frozen.nodes()[i].op, quantized.nodes()[i].op) << frozen.nodes()[i].name;
      }
    }
  }
  EXPECT_EQ(count<Tqt>(training_graph(quantized, {.quantizer = "tqt"})), 12);  // 8 activations but the image, 5 weights
  EXPECT_EQ(count<Pact>(training_graph(quantized, {.quantizer = "pact"})), 7);
  EXPECT_EQ(count<Pact>(training_graph(quantized, {.quantizer = "pact-pow2"})), 7);
  EXPECT_THROW(training_graph(quantized, {.quantizer = "tqd"}), UsageError);
}

// Where Pact cuts inside of its grid, so does the frozen network, and its integers.
TEST(TrainingGraph, AClipInsideOfTheGridIsKept) {
  const Graph quantized = small_quantized(tiny_network(), 8, 8);
  const Tensor<float> images = stripe_images(8, 5);
  Graph training = training_graph(quantized, {.quantizer = "pact"});
  for (const QuantizerSite& site : quantizer_sites(training)) {
    if (site.learned) training.tensor(*site.learned)[0] *= 0.61F;
  }
  const Graph frozen = frozen_graph(training);
  EXPECT_EQ(count<Clip>(frozen), count<Clip>(quantized) + 7);
  EXPECT_EQ(output(frozen, images), output(training, images));
  EXPECT_NE(output(frozen, images), output(quantized, images));
  const Lowered lowered = lower(frozen, {});
  IntegerVerifier verifier(frozen, lowered.program);
  verifier.check(images.view());
  EXPECT_GT(verifier.result().elements, 0);
  EXPECT_EQ(verifier.result().mismatches, 0);
}

TEST(TrainingGraph, WhatWasLearnedIsFrozenAndBiasesFollow) {
  const Graph quantized = small_quantized(tiny_network(), 8, 8);
  Graph training = training_graph(quantized, {.quantizer = "tqt"});
  for (const QuantizerSite& site : quantizer_sites(training)) {
    if (site.learned) training.tensor(*site.learned)[0] += 1;
  }
  const Graph frozen = frozen_graph(training);
  const SpecMap before = quantizer_specs(quantized), after = quantizer_specs(frozen);
  ASSERT_EQ(before.size(), after.size());
  const std::string image = quantized.name(quantized.inputs()[0]);  // its grid is not learned
  for (const auto& [name, spec] : before) EXPECT_EQ(after.at(name).frac, spec.frac - (name == image ? 0 : 1)) << name;
  // Biases as if the grids had been there from the beginning.
  const Graph wanted = with_specs(quantized, after, {});
  for (const BiasSite& site : bias_sites(frozen)) {
    const Node& node = frozen.nodes()[static_cast<std::size_t>(site.node)];
    ValueId twin{};
    ASSERT_TRUE(wanted.find(node.name, twin));
    EXPECT_EQ(wanted.producer(twin)->op, node.op) << node.name;
  }
  EXPECT_EQ(bias_sites(frozen).size(), 5U);
  const Tensor<float> images = stripe_images(8, 5);
  EXPECT_EQ(output(frozen, images), output(wanted, images));
}

TEST(TrainingGraph, FreedWeightsKeepTheirCodes) {
  const Graph network = fold_batch_norm(tiny_network());
  Graph quantized = small_quantized(tiny_network(), 4, 8);
  for (const QuantizerSite& site : quantizer_sites(quantized)) {  // codes that are one off
    if (site.role != QuantizerRole::weights) continue;
    const QuantSpec spec = std::get<FakeQuant>(quantized.nodes()[static_cast<std::size_t>(site.node)].op).spec;
    for (float& w : quantized.tensor(site.value).span()) {
      w = fake_quantize(w + static_cast<float>(spec.step()), spec, Rounding::half_away);
    }
  }
  const Graph freed = with_free_weights(quantized, network);
  const Tensor<float> images = stripe_images(8, 5);
  EXPECT_EQ(output(freed, images), output(quantized, images));
  const auto weights = [](const Graph& graph) {
    ValueId id{};
    EXPECT_TRUE(graph.find("block.0.weight", id));
    return graph.tensor(id);
  };
  const double step = quantizer_specs(quantized).at("block.0.weight").step();
  int nearer = 0;
  for (std::int64_t i = 0; i < weights(freed).count(); ++i) {
    const double before = std::abs(weights(quantized)[i] - weights(network)[i]);
    const double now = std::abs(weights(freed)[i] - weights(network)[i]);
    nearer += now < before - 0.4 * step ? 1 : 0;
    EXPECT_LE(std::abs(weights(freed)[i] - weights(quantized)[i]), 0.4501 * step);
  }
  EXPECT_GT(nearer, 100);  // of 128
}

TEST(TrainingGraph, UnitsAreStepsOfGrids) {
  const Graph quantized = small_quantized(tiny_network(), 4, 8);
  const std::map<std::string, double> units = parameter_units(quantized);
  const SpecMap specs = quantizer_specs(quantized);
  ASSERT_EQ(units.size(), 10U);  // weights and biases of five layers
  EXPECT_EQ(units.at("block.0.weight"), specs.at("block.0.weight").step());
  EXPECT_EQ(units.at("block.0.bias"), specs.at("block.2").step());  // after its ReLU
  EXPECT_EQ(units.at("block.6.bias"), specs.at("block.6").step());
}

TEST(TrainingGraph, EveryQuantizerHasItsRole) {
  const Graph quantized = small_quantized(tiny_network(), 4, 8);
  int roles[3] = {};
  for (const QuantizerSite& site : quantizer_sites(quantized)) ++roles[static_cast<int>(site.role)];
  EXPECT_EQ(roles[static_cast<int>(QuantizerRole::activation)], 8);
  EXPECT_EQ(roles[static_cast<int>(QuantizerRole::weights)], 5);
  EXPECT_EQ(roles[static_cast<int>(QuantizerRole::bias)], 5);
}

}  // namespace
}  // namespace binade
