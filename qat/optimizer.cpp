// The update rules.
#include "qat/optimizer.hpp"

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

constexpr std::array<OptimizerEntry, 1> kOptimizers{{
    {"sgd", "stochastic gradient descent with momentum, by PyTorch's formula", {"momentum", ""}, update_sgd},
}};

}  // namespace

std::span<const OptimizerEntry> optimizer_table() {
  return kOptimizers;
}

}  // namespace binade
