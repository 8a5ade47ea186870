// Every network of the zoo as integers: lowered at 8 bit, it has the codes of its quantized graph, in both engines.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace binade
