// Optimizers as a table of pure update rules; whoever trains owns their state.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace binade {

struct OptimizerOptions {
  std::string name = "sgd";  ///< of the table
  double momentum = 0.9;     ///< of SGD
  bool nesterov = false;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  ///< of Adam
};

/// One update of (a part of) one parameter, elementwise: all spans have the same length.
struct Update {
  std::span<float> parameter;
  std::span<const float> gradient;
  std::array<std::span<float>, 2> state;  ///< as many as the rule has; zero before the first update
  double learning_rate = 0;
  double weight_decay = 0;
  double gradient_factor = 1;  ///< below 1 when the gradient is clipped
  std::int64_t step = 0;       ///< updates of this parameter before this one
};

struct OptimizerEntry {
  std::string_view name, summary;
  /// Names of the state tensors, each of the parameter's shape; empty when there are fewer.
  std::array<std::string_view, 2> state_names;
  void (*update)(const OptimizerOptions& options, const Update& update);
};

std::span<const OptimizerEntry> optimizer_table();

}  // namespace binade
