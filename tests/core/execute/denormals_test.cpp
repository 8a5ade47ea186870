// Denormal numbers count as zero wherever the framework computes, on every thread, and nowhere else.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <optional>

#include "core/base/denormals.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/graph/builder.hpp"

namespace binade {
namespace {

/// Half of the smallest normal number, as a product that the compiler cannot fold.
float halved_minimum() {
  volatile float smallest = std::numeric_limits<float>::min();
  return smallest * 0.5F;
}

class Denormals : public testing::Test {
 protected:
  void TearDown() override { set_thread_count(0); }
};

TEST_F(Denormals, AreZeroInsideTheScopeOnly) {
  EXPECT_GT(halved_minimum(), 0.0F);
  {
    const FlushDenormals flush;
    EXPECT_EQ(halved_minimum(), 0.0F);
    {
      const FlushDenormals again;
      EXPECT_EQ(halved_minimum(), 0.0F);
    }
    EXPECT_EQ(halved_minimum(), 0.0F);
  }
  EXPECT_GT(halved_minimum(), 0.0F);
}

TEST_F(Denormals, AreZeroOnEveryThread) {
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    std::atomic<int> kept{0};
    for (const std::int64_t n : {1, 100}) {
      parallel_for(n, 1, [&](std::int64_t, std::int64_t) { kept += halved_minimum() != 0 ? 1 : 0; });
    }
    EXPECT_EQ(kept, 0) << threads << " threads";
    EXPECT_GT(halved_minimum(), 0.0F) << "the caller is left as it was";
  }
}

TEST_F(Denormals, AreNoNeighboursOfZero) {
  constexpr float smallest = std::numeric_limits<float>::min();
  for (const bool flushed : {false, true}) {
    std::optional<FlushDenormals> flush;
    if (flushed) flush.emplace();
    EXPECT_EQ(next_above(0.0F), smallest);
    EXPECT_EQ(next_above(-smallest), 0.0F);
    EXPECT_EQ(next_below(0.0F), -smallest);
    EXPECT_EQ(next_below(smallest), 0.0F);
    EXPECT_EQ(next_above(smallest), std::nextafter(smallest, 1.0F));
    EXPECT_EQ(next_above(1.0F), std::nextafter(1.0F, 2.0F));
    EXPECT_EQ(next_below(1.0), std::nextafter(1.0, 0.0));
  }
}

/// A network with every second filter multiplied by `factor`: what weight decay leaves of a dead filter.
Graph network(float factor) {
  Builder b(7);
  const ValueId x = b.input("x", {1, 12, 12, 8});
  ValueId y = b.conv("first", x, {.channels = 16, .kernel = 3});
  y = b.activation("relu", y, Activation::relu);
  y = b.depthwise("second", y, 3, 1);
  y = b.conv("third", y, {.channels = 8, .kernel = 1});
  Graph graph = std::move(b).finish(y);
  for (const ValueId id : graph.parameters()) {
    Tensor<float>& weights = graph.tensor(id);
    const std::int64_t filter = weights.count() / weights.shape().n;
    for (std::int64_t i = 0; i < weights.count(); ++i) {
      if (i / filter % 2 == 1) weights[i] *= factor;
    }
  }
  return graph;
}

// On hardware that is slow with denormals this is also what keeps such a network as fast as one with zeros: no
// operand and no result of a multiplication is one.
TEST_F(Denormals, OfWeightsGiveTheBitsOfZeros) {
  Tensor<float> image({3, 12, 12, 8});
  Random random(3);
  for (float& v : image.span()) v = static_cast<float>(random.normal());
  const auto run = [&](const Graph& graph) {
    Executor<float> executor(graph);
    const auto out = executor.forward(static_cast<const Tensor<float>&>(image).view());
    return std::vector<float>(out.span().begin(), out.span().end());
  };
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    EXPECT_EQ(run(network(1e-39F)), run(network(0))) << threads << " threads";
  }
}

}  // namespace
}  // namespace binade
