// The update rules.
#include "qat/optimizer.hpp"

#include <cmath>

namespace binade {
namespace {

/// @math d = g + weight_decay * p;  v <- momentum * v + d;  p <- p - lr * (nesterov ? d + momentum * v : v)
/// @source PyTorch's SGD (dampening 0), which in contrast to Sutskever et al. 2013 keeps lr out of the velocity
void update_sgd(const OptimizerOptions& options, const Update& update) {
  const auto momentum = static_cast<float>(options.momentum);
  const auto decay = static_cast<float>(update.weight_decay);
  const auto rate = static_cast<float>(update.learning_rate);
  const auto factor = static_cast<float>(update.gradient_factor);
  const std::size_t n = update.parameter.size();
  float* p = update.parameter.data();
  const float* g = update.gradient.data();
  float* v = update.state[0].data();
  if (options.nesterov) {
    for (std::size_t i = 0; i < n; ++i) {
      const float d = factor * g[i] + decay * p[i];
      v[i] = momentum * v[i] + d;
      p[i] -= rate * (d + momentum * v[i]);
    }
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      v[i] = momentum * v[i] + (factor * g[i] + decay * p[i]);
      p[i] -= rate * v[i];
    }
  }
}

/// @math d = g + weight_decay * p;  m <- beta1 * m + (1 - beta1) * d;  v <- beta2 * v + (1 - beta2) * d^2;
/// p <- p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), t = 1, 2, ...
/// @source Kingma and Ba 2015, with PyTorch's L2 weight decay
void update_adam(const OptimizerOptions& options, const Update& update) {
  const auto beta1 = static_cast<float>(options.beta1), beta2 = static_cast<float>(options.beta2);
  const auto decay = static_cast<float>(update.weight_decay), factor = static_cast<float>(update.gradient_factor);
  const auto t = static_cast<double>(update.step + 1);
  const auto rate = static_cast<float>(update.learning_rate / (1 - std::pow(options.beta1, t)));
  const auto second = static_cast<float>(1 / (1 - std::pow(options.beta2, t)));
  const auto epsilon = static_cast<float>(options.epsilon);
  const std::size_t n = update.parameter.size();
  float* p = update.parameter.data();
  const float* g = update.gradient.data();
  float *m = update.state[0].data(), *v = update.state[1].data();
  for (std::size_t i = 0; i < n; ++i) {
    const float d = factor * g[i] + decay * p[i];
    m[i] = beta1 * m[i] + (1 - beta1) * d;
    v[i] = beta2 * v[i] + (1 - beta2) * d * d;
    p[i] -= rate * m[i] / (std::sqrt(v[i] * second) + epsilon);
  }
}

constexpr std::array<OptimizerEntry, 2> kOptimizers{{
    {"sgd", "stochastic gradient descent with momentum, by PyTorch's formula", {"momentum", ""}, update_sgd},
    {"adam", "steps of about the learning rate, whatever the gradient's size", {"mean", "square"}, update_adam},
}};

}  // namespace

std::span<const OptimizerEntry> optimizer_table() {
  return kOptimizers;
}

}  // namespace binade
