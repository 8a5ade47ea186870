// Programs against the graphs they come from: random networks, every target, broken arithmetic caught and located.
#include "core/integer/lower/lower.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "core/base/error.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/verify_integer.hpp"
#include "tests/harness/check_op.hpp"
#include "tests/harness/quantized_network.hpp"

namespace binade {
namespace {

using harness::fuzz;
using harness::quantize_by_range;
using harness::random_images;
using harness::random_network;

TargetProfile with_other_rounding() {
  return {.name = "even",
          .weight_rounding = Rounding::half_even,
          .activation_rounding = Rounding::half_even,
          .join_rounding = Rounding::half_away,
          .average_rounding = Rounding::half_up,
          .narrow_weights = true,
          .unsigned_activations = false,
          .common_concat = true};
}

TargetProfile strict() {
  return {.name = "strict",
          .wide_accumulator_bits = 32,
          .prove_accumulator = true,
          .bias_bits = 16,
          .max_shift = 14,
          .min_shift = 0,
          .requantize_before_add = true};
}

const TargetProfile kTargets[] = {{}, with_other_rounding(), strict()};

TEST(Lower, RandomNetworksHaveTheCodesOfTheirGraphs) {
  std::set<std::string_view> seen;
  std::int64_t elements = 0;
  for (const auto widths : {harness::Widths{8, 8}, {16, 16}, {8, 16}, {16, 8}, {4, 6}}) {
    fuzz(40, [&](std::uint64_t seed, Random& random) {
      const Graph network = random_network(random, 14);
      const Tensor<float> images = random_images(network, 2, random);
      const Graph quantized = quantize_by_range(network, images.view(), widths);
      for (const TargetProfile& target : kTargets) {
        const Graph graph = apply_target(quantized, target);
        const Lowered lowered = lower(graph, target);
        IntegerVerifier verifier(graph, lowered.program);
        verifier.check(images.view());
        const Verification& result = verifier.result();
        ASSERT_EQ(result.mismatches, 0) << "seed " << seed << ", target " << target.name << "\n"
                                        << (result.first ? result.first->to_string() : "");
        ASSERT_EQ(result.engine_mismatches, 0)
            << "seed " << seed << ", target " << target.name << ", " << result.engine_first;
        elements += result.elements;
        for (const Instruction& i : lowered.program.code) seen.insert(operation_name(i.operation));
        for (const LayerBounds& layer : lowered.layers) {
          const auto index = static_cast<std::size_t>(layer.instruction);
          EXPECT_LE(result.statistics.instructions[index].worst_acc, layer.acc_bound) << "seed " << seed;
          EXPECT_TRUE(layer.fits || !target.prove_accumulator) << "seed " << seed << " " << layer.name;
        }
      }
    });
  }
  EXPECT_EQ(seen.size(), std::variant_size_v<Operation>) << "the random networks do not reach every operation";
  EXPECT_GT(elements, 1'000'000);
}

TEST(Lower, ATargetChangesNothingTheSecondTime) {
  fuzz(30, [&](std::uint64_t seed, Random& random) {
    const Graph network = random_network(random, 12);
    const Tensor<float> images = random_images(network, 1, random);
    const Graph quantized = quantize_by_range(network, images.view(), {});
    TargetProfile product = strict();
    product.bias_product = true;
    for (const TargetProfile& target : {kTargets[0], kTargets[1], kTargets[2], product}) {
      const Graph once = apply_target(quantized, target), twice = apply_target(once, target);
      EXPECT_EQ(program_hash(lower(once, target).program), program_hash(lower(twice, target).program))
          << "seed " << seed << ", target " << target.name;
    }
  });
}

/// A convolution with ReLU, then another: quantized, on the default target.
struct TwoLayers {
  TwoLayers() : images({1, 6, 6, 3}) {
    Random random(11);
    const ValueId x = network.input("x", {1, 6, 6, 3});
    const auto weights = [&](const char* name, Shape shape) {
      Tensor<float> w(shape);
      for (float& v : w.span()) v = static_cast<float>(random.uniform(-1, 1));
      return network.parameter(name, std::move(w));
    };
    const ValueId a = network.add("first", Conv2d{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1},
                                  {x, weights("w1", {5, 3, 3, 3}), weights("b1", {1, 1, 1, 5})});
    const ValueId r = network.add("relu", Relu{}, {a});
    network.set_output(network.add("second", Conv2d{}, {r, weights("w2", {4, 1, 1, 5})}));
    for (float& v : images.span()) v = static_cast<float>(random.uniform(-1, 1));
    quantized = quantize_by_range(network, images.view(), {});
  }
  Graph network, quantized;
  Tensor<float> images;
};

TEST(Lower, BrokenRoundingIsCaughtAndLocated) {
  const TwoLayers two;
  // Without its ReLU the layer has negative ties; the graph says what they are.
  Graph linear = rewrite(two.network, [](Rewriter& to, const Node& node) {
    if (std::holds_alternative<Relu>(node.op)) return to.replace(node.out, to(node.in[0]));
    to.copy(node);
  });
  // Inputs and weights on halves, so that ties are common.
  for (const ValueId id : linear.parameters()) {
    for (float& v : linear.tensor(id).span()) v = std::round(2 * v) / 2;
  }
  Tensor<float> images = two.images;
  for (float& v : images.span()) v = std::round(2 * v) / 2;
  SpecMap specs{
      {"x", {.frac = 1}}, {"w1", {.frac = 1}}, {"w2", {.frac = 1}}, {"first", {.frac = 1}}, {"second", {.frac = 0}}};
  const Graph graph = insert_quantizers(linear, specs, {});
  Lowered right = lower(graph, {}), broken = right;
  std::get<ConvInstr>(broken.program.code[0].operation).requant.rounding = Rounding::half_away;
  IntegerVerifier good(graph, right.program), bad(graph, broken.program);
  good.check(images.view());
  bad.check(images.view());
  EXPECT_EQ(good.result().mismatches, 0);
  ASSERT_GT(bad.result().mismatches, 0);
  const Mismatch& first = *bad.result().first;
  EXPECT_EQ(first.tensor, "first.q");
  EXPECT_EQ(first.operation, "conv");
  EXPECT_EQ(first.instruction, 0);
  ASSERT_TRUE(first.accumulator.has_value());
  EXPECT_LT(*first.accumulator, 0);
  EXPECT_EQ(first.shift, 1);
  EXPECT_EQ(*first.accumulator & 1, 1) << "a tie";
  EXPECT_EQ(first.code, round_shift(*first.accumulator, 1, Rounding::half_away));
  EXPECT_EQ(first.graph_code, static_cast<double>(round_shift(*first.accumulator, 1, Rounding::half_up)));
  EXPECT_NE(first.to_string().find("'first.q'"), std::string::npos) << first.to_string();
}

TEST(Lower, OneWrongWeightIsCaught) {
  const TwoLayers two;
  Lowered lowered = lower(two.quantized, {});
  const auto& conv = std::get<ConvInstr>(lowered.program.code[1].operation);
  lowered.program.constants[conv.weights] ^= std::byte{0x40};
  IntegerVerifier verifier(two.quantized, lowered.program);
  verifier.check(two.images.view());
  ASSERT_GT(verifier.result().mismatches, 0);
  EXPECT_EQ(verifier.result().first->tensor, "second.q");
}

TEST(Lower, EveryNodeWithoutAnIntegerFormIsNamed) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 4, 4, 2});
  const auto ones = [&](const char* name) { return graph.parameter(name, Tensor<float>({1, 1, 1, 2}, 1.0f)); };
  const ValueId bn = graph.add("norm", BatchNorm{}, {x, ones("g"), ones("b"), ones("m"), ones("v")});
  graph.set_output(graph.add("layer_norm", LayerNorm{}, {bn, ones("g2"), ones("b2")}));
  try {
    lower(graph, {});
    FAIL() << "lowered";
  } catch (const DataError& error) {
    const std::string what = error.what();
    for (const char* word : {"'norm'", "'layer_norm'", "folded", "no integer instruction", "output"}) {
      EXPECT_NE(what.find(word), std::string::npos) << word << " in " << what;
    }
  }
}

/// What lower() says about a graph that it refuses, line by line, without the first.
std::vector<std::string> refusal(const Graph& graph) {
  try {
    lower(graph, {});
  } catch (const DataError& error) {
    std::vector<std::string> lines;
    std::istringstream text(error.what());
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    lines.erase(lines.begin());
    return lines;
  }
  return {};
}

/// Three layers, each before a quantizer that is still learned: the quantizers are the cause, and one line.
TEST(Lower, LearnedQuantizersAreTheCauseAndOneLine) {
  for (const Op& op : {Op{Pact{}}, Op{Tqt{}}, Op{Lsq{}}}) {
    Graph graph;
    ValueId x = graph.add("x.q", FakeQuant{}, {graph.input("x", {1, 4, 4, 2})});
    for (const std::string name : {"a", "b", "c"}) {
      const ValueId w = graph.parameter(name + ".w", Tensor<float>({2, 1, 1, 2}, 1.0f));
      const ValueId conv = graph.add(name, Conv2d{}, {x, graph.add(name + ".w.q", FakeQuant{}, {w})});
      const ValueId relu = graph.add(name + ".relu", Relu{}, {conv});
      const ValueId learned = graph.parameter(name + ".learned", Tensor<float>({1, 1, 1, 1}, 1.0f));
      x = graph.add(name + ".q", op, {relu, learned});
    }
    graph.set_output(x);
    const std::vector<std::string> lines = refusal(graph);
    ASSERT_FALSE(lines.empty());
    const std::string reason(op_name(op) == "Lsq" ? "which is no fixed-point grid" : "becomes a fixed one first");
    EXPECT_NE(lines[0].find(std::string(op_name(op)) + ", 3 nodes, first 'a.q': "), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find(reason), std::string::npos) << lines[0];
    EXPECT_LE(lines.size(), 4u);
    for (const std::string& line : lines) EXPECT_EQ(line.find("no quantizer follows"), std::string::npos) << line;
  }
}

/// Layers after one without an integer form are named after it, in one line for all.
TEST(Lower, ACauseComesBeforeItsEffects) {
  Graph graph;
  ValueId x = graph.add("x.q", FakeQuant{}, {graph.input("x", {1, 4, 4, 2})});
  for (const std::string name : {"a", "b"}) {
    const auto ones = [&](const std::string& of) { return graph.parameter(of, Tensor<float>({1, 1, 1, 2}, 1.0f)); };
    const ValueId w = graph.parameter(name + ".w", Tensor<float>({2, 1, 1, 2}, 1.0f));
    const ValueId conv = graph.add(name, Conv2d{}, {x, graph.add(name + ".w.q", FakeQuant{}, {w})});
    x = graph.add(name + ".q", FakeQuant{}, {conv});
    x = graph.add(name + ".norm", LayerNorm{}, {x, ones(name + ".g"), ones(name + ".b")});
    x = graph.add(name + ".norm.q", FakeQuant{}, {x});
  }
  graph.set_output(x);
  const std::vector<std::string> lines = refusal(graph);
  ASSERT_GE(lines.size(), 2u);
  EXPECT_NE(lines[0].find("LayerNorm, 2 nodes, first 'a.norm': there is no integer instruction"), std::string::npos)
      << lines[0];
  for (const std::string& line : lines) EXPECT_EQ(line.find("no quantizer follows"), std::string::npos) << line;
}

TEST(ApplyTarget, SignedActivationsLoseOneBitAndNothingElse) {
  const TwoLayers two;
  const Graph graph = apply_target(two.quantized, {.name = "signed", .unsigned_activations = false});
  const SpecMap before = quantizer_specs(two.quantized), after = quantizer_specs(graph);
  EXPECT_FALSE(before.at("relu").is_signed);
  EXPECT_TRUE(after.at("relu").is_signed);
  EXPECT_EQ(after.at("relu").frac, before.at("relu").frac - 1);
  EXPECT_EQ(after.at("x"), before.at("x"));
}

TEST(ApplyTarget, TheDefaultTargetLeavesTheGraphAlone) {
  const TwoLayers two;
  const Graph graph = apply_target(two.quantized, {});
  EXPECT_EQ(quantizer_specs(graph), quantizer_specs(two.quantized));
  EXPECT_EQ(program_hash(lower(graph, {}).program), program_hash(lower(two.quantized, {}).program));
}

TEST(ApplyTarget, ShiftsComeIntoTheRange) {
  const TwoLayers two;
  for (const auto& [least, most] : {std::pair{0, 3}, {9, 12}}) {
    const TargetProfile target{.name = "shifts", .max_shift = most, .min_shift = least};
    for (const LayerBounds& layer : lower(apply_target(two.quantized, target), target).layers) {
      EXPECT_GE(layer.shift, least) << layer.name;
      EXPECT_LE(layer.shift, most) << layer.name;
    }
  }
}

TEST(ApplyTarget, NarrowWeightsAvoidTheLowestCode) {
  TwoLayers two;
  for (float& w : two.quantized.tensor(*two.quantized.parameters().begin()).span()) w = -1;
  const auto lowest = [](const Graph& graph) {
    const Program program = lower(graph, {}).program;
    const auto& conv = std::get<ConvInstr>(program.code[0].operation);
    int least = 0;
    for (int i = 0; i < 5 * 27; ++i) {
      least = std::min(least, load_code(program.constants.data() + conv.weights, i, {.bits = 8}));
    }
    return least;
  };
  EXPECT_EQ(lowest(two.quantized), -128);
  EXPECT_EQ(lowest(apply_target(two.quantized, {.narrow_weights = true})), -127);
}

TEST(ApplyTarget, AProfileThatContradictsItselfIsRefused) {
  const TwoLayers two;
  EXPECT_THROW(apply_target(two.quantized, {.bias_product = true}), UsageError);
  EXPECT_THROW(apply_target(two.quantized, {.accumulator_bits = 8}), UsageError);
  EXPECT_THROW(apply_target(two.quantized, {.max_shift = 3, .min_shift = 4}), UsageError);
}

}  // namespace
}  // namespace binade
