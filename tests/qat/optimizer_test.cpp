// SGD and Adam against the formula, computed by hand and in double.
#include "qat/optimizer.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/names.hpp"

namespace binade {
namespace {

TEST(Optimizer, SgdFollowsPyTorchsFormulaByHand) {
  const OptimizerEntry& sgd = find_by_name("optimizer", "sgd", optimizer_table());
  std::vector<float> p{1.0f}, v{0.0f};
  const std::vector<float> g{0.5f};
  const OptimizerOptions options{.momentum = 0.5};
  const Update update{.parameter = p, .gradient = g, .state = {v}, .learning_rate = 0.25, .weight_decay = 0.5};
  sgd.update(options, update);  // d = 0.5 + 0.5 = 1, v = 1, p = 1 - 0.25
  EXPECT_FLOAT_EQ(v[0], 1.0f);
  EXPECT_FLOAT_EQ(p[0], 0.75f);
  sgd.update(options, update);  // d = 0.5 + 0.375 = 0.875, v = 1.375, p = 0.75 - 0.34375
  EXPECT_FLOAT_EQ(v[0], 1.375f);
  EXPECT_FLOAT_EQ(p[0], 0.40625f);
}

TEST(Optimizer, SgdAgreesWithDoubleOverManySteps) {
  const OptimizerEntry& sgd = find_by_name("optimizer", "sgd", optimizer_table());
  for (const bool nesterov : {false, true}) {
    const OptimizerOptions options{.momentum = 0.9, .nesterov = nesterov};
    const double rate = 0.05, decay = 1e-3, factor = 0.5;
    std::vector<float> p(37), v(37), g(37);
    std::vector<double> p64(37), v64(37);
    for (std::size_t i = 0; i < p.size(); ++i) p64[i] = p[i] = 0.1f * static_cast<float>(i) - 1;
    for (int step = 0; step < 50; ++step) {
      for (std::size_t i = 0; i < p.size(); ++i) {
        g[i] = 0.3f * p[i] - 0.01f * static_cast<float>(i);
        const double d = factor * (0.3 * p64[i] - 0.01 * static_cast<double>(i)) + decay * p64[i];
        v64[i] = 0.9 * v64[i] + d;
        p64[i] -= rate * (nesterov ? d + 0.9 * v64[i] : v64[i]);
      }
      sgd.update(options, {.parameter = p,
                           .gradient = g,
                           .state = {v},
                           .learning_rate = rate,
                           .weight_decay = decay,
                           .gradient_factor = factor});
    }
    for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], p64[i], 2e-6) << "nesterov " << nesterov;
  }
}

TEST(Optimizer, AdamAgreesWithDoubleOverManySteps) {
  const OptimizerEntry& adam = find_by_name("optimizer", "adam", optimizer_table());
  const OptimizerOptions options{.beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6};
  const double rate = 0.01, decay = 1e-3, factor = 0.5;
  std::vector<float> p(37), m(37), v(37), g(37);
  std::vector<double> p64(37), m64(37), v64(37);
  for (std::size_t i = 0; i < p.size(); ++i) p64[i] = p[i] = 0.1f * static_cast<float>(i) - 1;
  for (int step = 0; step < 50; ++step) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      g[i] = 0.3f * p[i] - 0.01f * static_cast<float>(i) + 0.21f;
      const double d = factor * (0.3 * p64[i] - 0.01 * static_cast<double>(i) + 0.21) + decay * p64[i];
      m64[i] = 0.8 * m64[i] + 0.2 * d;
      v64[i] = 0.99 * v64[i] + 0.01 * d * d;
      const double mean = m64[i] / (1 - std::pow(0.8, step + 1)), square = v64[i] / (1 - std::pow(0.99, step + 1));
      p64[i] -= rate * mean / (std::sqrt(square) + 1e-6);
    }
    adam.update(options, {.parameter = p,
                          .gradient = g,
                          .state = {m, v},
                          .learning_rate = rate,
                          .weight_decay = decay,
                          .gradient_factor = factor,
                          .step = step});
  }
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(p[i], p64[i], 2e-5) << i;
}

}  // namespace
}  // namespace binade
