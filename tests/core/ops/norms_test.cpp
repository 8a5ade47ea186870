// Batch norms and layer norms through the harness, batch norms merged into weights too.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/harness/check_op.hpp"

namespace binade {
namespace {

using harness::between;
using harness::check_op;
using harness::CheckOptions;
using harness::expect_refused;
using harness::fuzz;
using harness::uniform;

constexpr Shape kLarge{2, 61, 67, 11};  // several chunks, and no extent divides a vector

Shape random_shape(Random& random) {
  return {between(random, 1, 3), between(random, 1, 7), between(random, 1, 7), between(random, 1, 37)};
}

TEST(Norms, batch_norm) {
  CheckOptions options{.fill = {nullptr, nullptr, nullptr, nullptr, uniform(0.25, 4)},
                       .constant = {3, 4},
                       .updated = {3, 4},
                       .float_tolerance = 5e-6};
  const auto shapes = [](Shape s) {
    const Shape v = channel_shape(s.c);
    return std::vector<Shape>{s, v, v, v, v};
  };
  check_op(BatchNorm{}, shapes(kLarge), options);
  check_op(BatchNorm{.epsilon = 0.1}, shapes({2, 1, 1, 3}), options);
  fuzz(10, [&](std::uint64_t seed, Random& random) {
    options.seed = seed;
    Shape s = random_shape(random);
    s.h += 2;  // with two or three values the derivative bends too much for differences
    options.mode = Mode::training;
    check_op(BatchNorm{}, shapes(s), options);
    options.mode = Mode::inference;
    check_op(BatchNorm{.epsilon = 1e-3}, shapes(s), options);
  });
  expect_refused(BatchNorm{}, {{1, 2, 2, 3}, {1, 1, 1, 3}, {1, 1, 1, 3}, {1, 1, 1, 2}, {1, 1, 1, 3}}, "running mean");
}

TEST(Norms, batch_norm_updates_its_running_statistics) {
  const Tensor<double> x({4, 1, 1, 1}, std::vector<double>{1, 2, 3, 6}), one({1, 1, 1, 1}, 1.0);
  Tensor<double> mean({1, 1, 1, 1}, 10.0), variance({1, 1, 1, 1}, 20.0), y(x.shape());
  OpState state;
  const std::vector<View<const double>> in{x.view(), one.view(), one.view(), mean.view(), variance.view()};
  const std::vector<View<double>> updated{mean.view(), variance.view()};
  binade::forward(
      BatchNorm{.momentum = 0.25},
      Forward<double>{.in = in, .out = y.view(), .state = state, .mode = Mode::training, .updated = updated});
  EXPECT_DOUBLE_EQ(mean[0], 0.75 * 10 + 0.25 * 3);
  EXPECT_DOUBLE_EQ(variance[0], 0.75 * 20 + 0.25 * 14.0 / 3);  // squared deviations 4 + 1 + 0 + 9, divided by n - 1
}

TEST(Norms, batch_norm_needs_two_values) {
  const Tensor<float> x({1, 1, 1, 2}), v({1, 1, 1, 2}, 1.0f);
  Tensor<float> y(x.shape());
  OpState state;
  const std::vector<View<const float>> in{x.view(), v.view(), v.view(), v.view(), v.view()};
  EXPECT_THROW(
      binade::forward(BatchNorm{}, Forward<float>{.in = in, .out = y.view(), .state = state, .mode = Mode::training}),
      DataError);
}

TEST(Norms, layer_norm) {
  CheckOptions options{.float_tolerance = 5e-6};
  check_op(LayerNorm{.epsilon = 0.05}, {kLarge, {1, 1, 1, 11}, {1, 1, 1, 11}}, options);
  fuzz(10, [&](std::uint64_t seed, Random& random) {
    options.seed = seed;
    Shape s = random_shape(random);
    s.c += 4;
    check_op(LayerNorm{.epsilon = 0.01}, {s, channel_shape(s.c), channel_shape(s.c)}, options);
  });
  expect_refused(LayerNorm{}, {{1, 2, 2, 3}, {1, 1, 1, 3}, {1, 1, 1, 4}}, "beta");
}

TEST(Norms, frozen_batch_norm_is_that_of_inference) {
  const CheckOptions options{
      .fill = {nullptr, nullptr, nullptr, nullptr, uniform(0.25, 4)}, .constant = {3, 4}, .float_tolerance = 5e-6};
  for (const Shape s : {kLarge, Shape{3, 2, 4, 5}}) {
    const Shape v = channel_shape(s.c);
    check_op(BatchNorm{.frozen = true}, {s, v, v, v, v}, options);
  }
}

TEST(Norms, merged_batch_norm) {
  CheckOptions options{.fill = {nullptr, nullptr, uniform(0.25, 4)}, .constant = {2}};
  for (const Shape s : {Shape{5, 3, 3, 7}, Shape{64, 1, 1, 300}}) {
    check_op(MergedWeights{.epsilon = 0.01}, {s, channel_shape(s.n), channel_shape(s.n)}, options);
  }
  options = {.fill = {nullptr, nullptr, nullptr, uniform(0.25, 4)}, .constant = {2, 3}};
  const Shape v = channel_shape(13);
  check_op(MergedBias{.epsilon = 0.01}, {v, v, v, v}, options);
  check_op(MergedBias{}, {v, v, v, v, v}, options);
  expect_refused(MergedWeights{}, {{5, 1, 1, 3}, channel_shape(3), channel_shape(5)}, "gamma");
  expect_refused(MergedBias{}, {v, v, v, channel_shape(3)}, "running variance");
}

}  // namespace
}  // namespace binade
