// The losses through the harness: cross entropy and distillation.
#include <gtest/gtest.h>

#include <limits>

#include "core/base/error.hpp"
#include "tests/harness/check_op.hpp"

namespace binade {
namespace {

using harness::between;
using harness::check_op;
using harness::CheckOptions;
using harness::expect_refused;
using harness::fuzz;
using harness::labels;
using harness::uniform;

constexpr Shape kLarge{2, 61, 67, 11};  // several chunks, and no extent divides a vector

TEST(Losses, cross_entropy) {
  CheckOptions options{.fill = {uniform(-4, 4), labels(11, 255)}, .constant = {1}};
  for (const double smoothing : {0.0, 0.1}) {
    check_op(CrossEntropy{.label_smoothing = smoothing}, {kLarge, {2, 61, 67, 1}}, options);
  }
  options.fill = {uniform(-4, 4), labels(5, -1), uniform(0.1, 3)};
  for (const bool weighted : {false, true}) {
    options.constant = {1, 2};
    if (!weighted) options.constant = {1};
    fuzz(10, [&](std::uint64_t seed, Random& random) {
      options.seed = seed;
      const Shape s{between(random, 1, 3), between(random, 1, 7), between(random, 1, 7), 5};
      std::vector<Shape> in{s, {s.n, s.h, s.w, 1}};
      if (weighted) in.push_back(channel_shape(s.c));
      check_op(CrossEntropy{.ignore_label = -1, .label_smoothing = 0.2}, in, options);
    });
  }
  options.fill[1] = [](Tensor<double>& t, Random&) {
    for (double& v : t.span()) v = 255;
  };
  check_op(CrossEntropy{}, {{2, 2, 2, 5}, {2, 2, 2, 1}}, options);  // nothing counts: loss and gradient are 0
  expect_refused(CrossEntropy{}, {{1, 2, 2, 3}, {1, 2, 2, 3}}, "wanted 1x2x2x1");
  expect_refused(CrossEntropy{}, {{1, 2, 2, 3}, {1, 2, 2, 1}, {1, 1, 1, 2}}, "weights of the classes");
}

TEST(Losses, distillation) {
  for (const double temperature : {1.0, 4.0}) {
    const Distillation op{.temperature = temperature, .weight = 0.7};
    check_op(op, {{3, 1, 1, 10}, {3, 1, 1, 10}}, {.constant = {1}});
    check_op(op, {{2, 3, 2, 5}, {2, 3, 2, 5}, {1, 1, 1, 1}}, {.constant = {1}});
  }
  check_op(Distillation{}, {kLarge, kLarge}, {.constant = {1}});
  expect_refused(Distillation{}, {{1, 1, 1, 5}, {1, 1, 1, 6}}, "teacher");
  expect_refused(Distillation{}, {{1, 1, 1, 5}, {1, 1, 1, 5}, {1, 1, 1, 5}}, "the loss to add to");
  expect_refused(Distillation{.temperature = 0}, {{1, 1, 1, 5}, {1, 1, 1, 5}}, "temperature");
}

TEST(Losses, cross_entropy_names_a_label_that_is_not_a_class) {
  const Tensor<float> logits({2, 2, 2, 3});
  for (const float bad : {3.0f, -1.0f, 0.5f, std::numeric_limits<float>::quiet_NaN()}) {
    Tensor<float> label({2, 2, 2, 1});
    label[5] = bad;
    label[6] = 255;  // ignored
    label[7] = bad;
    Tensor<float> loss({1, 1, 1, 1});
    OpState state;
    const std::vector<View<const float>> in{logits.view(), label.view()};
    try {
      binade::forward(CrossEntropy{},
                      Forward<float>{.in = in, .out = loss.view(), .state = state, .mode = Mode::training});
      ADD_FAILURE() << "label " << bad << " was accepted";
    } catch (const DataError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("2 of 8 labels"), std::string::npos) << message;
      EXPECT_NE(message.find("image 1, row 0, column 1"), std::string::npos) << message;
    }
  }
}

}  // namespace
}  // namespace binade
