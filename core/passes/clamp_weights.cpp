// Median, limit, clamp.
#include "core/passes/clamp_weights.hpp"

#include <algorithm>
#include <cmath>

#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

/// The lower median, as PyTorch's.
float median_magnitude(const Tensor<float>& tensor) {
  std::vector<float> magnitudes;
  for (const float x : tensor.span()) magnitudes.push_back(std::abs(x));
  const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>((magnitudes.size() - 1) / 2);
  std::nth_element(magnitudes.begin(), middle, magnitudes.end());
  return *middle;
}

}  // namespace

std::vector<ClampedWeights> clamp_weights(Graph& graph) {
  constexpr double kRatio = 16, kLargest = 15, kMargin = 120.0 / 128;
  std::vector<ClampedWeights> clamped;
  for (const ValueId id : quantized_weights(graph)) {
    Tensor<float>& weights = graph.tensor(id);
    double largest = 0;
    for (const float w : weights.span()) largest = std::max(largest, std::abs(static_cast<double>(w)));
    const double median = static_cast<double>(median_magnitude(weights));
    if (largest <= kLargest || largest <= kRatio * median) continue;
    const double limit = std::ldexp(1.0, ceil_log2(std::max(kMinClip, std::min(largest, kRatio * median)))) * kMargin;
    for (float& w : weights.span()) w = static_cast<float>(std::clamp(static_cast<double>(w), -limit, limit));
    clamped.push_back({graph.name(id), largest, limit});
  }
  return clamped;
}

}  // namespace binade
