// A training run of a graph moves the running statistics of its batch normalisation.
#include <gtest/gtest.h>

#include "core/execute/executor.hpp"

namespace binade {
namespace {

TEST(Executor, TrainingUpdatesRunningStatistics) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 2, 1});
  const auto vector = [&](const char* name, float value) {
    return graph.parameter(name, Tensor<float>(channel_shape(1), value));
  };
  const ValueId mean = vector("mean", 1), variance = vector("variance", 2);
  graph.set_output(
      graph.add("bn", BatchNorm{.momentum = 0.25}, {x, vector("gamma", 1), vector("beta", 0), mean, variance}));
  Executor<double> executor(graph, {.mode = Mode::training});
  Tensor<float> images(Shape{2, 1, 2, 1});
  for (int i = 0; i < 4; ++i) images[i] = static_cast<float>(2 * i);  // mean 3, unbiased variance 20 / 3
  executor.forward(static_cast<const Tensor<float>&>(images).view());
  EXPECT_DOUBLE_EQ(executor.parameter(mean).data[0], 0.75 * 1 + 0.25 * 3);
  EXPECT_DOUBLE_EQ(executor.parameter(variance).data[0], 0.75 * 2 + 0.25 * 20 / 3);
}

}  // namespace
}  // namespace binade
