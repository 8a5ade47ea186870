// Range estimators and passes that a program brings along: found by name, run in order, told apart from the library's.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/pass.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

using test::random_images;
using test::small_network;

constexpr Estimator kQuarters{
    "quarters", "steps of a quarter, whatever was seen", [](const TensorStats&, const GridWish& wish) {
      return QuantSpec{.frac = 2, .bits = static_cast<std::uint8_t>(wish.bits), .is_signed = wish.is_signed};
    }};

Graph without_biases(const Graph& graph, PassContext& context) {
  Graph result = graph;
  int layers = 0;
  for (const Node& node : graph.nodes()) {
    if (!has_bias(node)) continue;
    for (float& b : result.tensor(node.in[kBias]).span()) b = 0;
    ++layers;
  }
  context.report["layers"] = layers;
  return result;
}
constexpr Pass kWithoutBiases{"without_biases", "zero for every bias", without_biases};

class Extensions : public testing::Test {
 protected:
  PtqResult quantize(const PtqOptions& options, const PtqExtensions& extensions) {
    return post_training_quantize(network_, images_, options, extensions);
  }
  std::string error_of(const PtqOptions& options, const PtqExtensions& extensions) {
    try {
      quantize(options, extensions);
    } catch (const UsageError& error) {
      return error.what();
    }
    return {};
  }

  Graph network_ = small_network(3);
  TensorImages images_{random_images(8, {1, 12, 12, 3}, 5)};
  PtqOptions options_ = ptq_preset("simple", 8, 8);
};

TEST_F(Extensions, AnEstimatorChoosesTheGridsThatNameIt) {
  options_.range = "quarters";
  const Graph folded = fold_batch_norm(network_);
  const SpecMap specs = quantizer_specs(quantize(options_, {.estimators = {&kQuarters, 1}, .passes = {}}).quantized);
  for (const ValueId id : quantized_values(folded)) EXPECT_EQ(specs.at(folded.name(id)).frac, 2) << folded.name(id);
  const SpecMap plain = quantizer_specs(quantize(ptq_preset("simple", 8, 8), {}).quantized);
  for (const ValueId id : quantized_weights(folded)) {
    EXPECT_EQ(specs.at(folded.name(id)), plain.at(folded.name(id))) << "weights named min_max";
  }
}

TEST_F(Extensions, APassRunsWhereItIsNamed) {
  options_.passes = {"fold_batch_norm", "without_biases", "quantize"};
  const PtqResult result = quantize(options_, {.estimators = {}, .passes = {&kWithoutBiases, 1}});
  int biases = 0;
  for (const Node& node : result.reference.nodes()) {
    if (!has_bias(node)) continue;
    const Node& layer = *result.quantized.producer([&] {
      ValueId id{};
      EXPECT_TRUE(result.quantized.find(node.name, id)) << node.name;
      return id;
    }());
    const ValueId bias = result.quantized.producer(layer.in[kBias])->in[0];
    for (const float b : result.quantized.tensor(bias).span()) EXPECT_EQ(b, 0.0F) << node.name;
    ++biases;
  }
  EXPECT_EQ(biases, 11);
  EXPECT_EQ(result.report["passes"][1]["pass"], "without_biases");
  EXPECT_EQ(result.report["passes"][1]["layers"], 11);
}

TEST_F(Extensions, AWrongNameListsTheProgramsOwn) {
  options_.range = "quarter";
  EXPECT_NE(error_of(options_, {.estimators = {&kQuarters, 1}, .passes = {}}).find("did you mean 'quarters'"),
            std::string::npos);
  options_ = ptq_preset("simple", 8, 8);
  options_.passes = {"fold_batch_norm", "without_bias", "quantize"};
  EXPECT_NE(
      error_of(options_, {.estimators = {}, .passes = {&kWithoutBiases, 1}}).find("did you mean 'without_biases'"),
      std::string::npos);
}

TEST_F(Extensions, NoNameStandsForTwo) {
  const Estimator other{"min_max", "another", kQuarters.choose};
  EXPECT_NE(error_of(options_, {.estimators = {&other, 1}, .passes = {}}).find("two of the name 'min_max'"),
            std::string::npos);
  const Pass same{"quantize", "another", without_biases};
  EXPECT_NE(error_of(options_, {.estimators = {}, .passes = {&same, 1}}).find("two of the name 'quantize'"),
            std::string::npos);
}

}  // namespace
}  // namespace binade
