// Every network of the zoo in use: it trains, and as integers at 8 bit it has the codes of its quantized graph.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "core/execute/executor.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/verify_integer.hpp"
#include "tests/harness/quantized_network.hpp"
#include "tests/harness/small_networks.hpp"
#include "tests/harness/zoo.hpp"

namespace binade {
namespace {

TEST(ZooAsIntegers, HasTheCodesOfItsGraphs) {
  for (const ModelEntry& entry : model_table()) {
    if (entry.name == "resnet50") continue;  // the doubles of its full width would take seconds; resnet50_keras is here
    SCOPED_TRACE(entry.name);
    const Graph drawn = test::with_random_batch_norms(build_graph(entry, test::small_options(entry)), 3, 0.2);
    const Graph network = fold_batch_norm(drawn);
    const Tensor<float> image = test::random_images(1, network.shape(network.inputs()[0]), 5);
    const Graph graph = apply_target(harness::quantize_by_range(network, image.view(), {8, 8}), {});
    const Lowered lowered = lower(graph, {});
    IntegerVerifier verifier(graph, lowered.program);
    verifier.check(image.view());
    const Verification& result = verifier.result();
    EXPECT_EQ(result.mismatches, 0) << (result.first ? result.first->to_string() : "");
    EXPECT_EQ(result.engine_mismatches, 0) << result.engine_first;
    EXPECT_GT(result.elements, 100);
  }
}

TEST(ZooInTraining, EveryParameterGetsAGradient) {
  for (const ModelEntry& entry : model_table()) {
    SCOPED_TRACE(entry.name);
    const Graph network = build_graph(entry, test::small_options(entry));
    const Tensor<float> images = test::random_images(2, network.shape(network.inputs()[0]), 5);
    Executor<float> executor(network, {.mode = Mode::training});
    const View<const float> out = executor.forward(images.view());
    const Tensor<float> dout = test::random_images(2, network.shape(network.output()), 6);
    ASSERT_EQ(out.shape, dout.shape());
    executor.backward(dout.view());
    int zero = 0, all = 0;
    for (const ValueId id : trainable_parameters(network)) {
      const View<const float> gradient = executor.gradient(id);
      ASSERT_TRUE(gradient) << network.name(id);
      const auto values = gradient.span();
      EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
          << network.name(id);
      zero += std::all_of(values.begin(), values.end(), [](float v) { return v == 0; }) ? 1 : 0;
      ++all;
    }
    EXPECT_LE(zero, all / 10) << "of " << all;  // a bias before a batch norm, a ReLU that nothing passes
  }
}

}  // namespace
}  // namespace binade
