// The passes that choose first grids (`quantize`) and that clip weights as TI does (`clip_weights`).
#include <algorithm>
#include <cmath>

#include "calibration/collect.hpp"
#include "calibration/estimators/estimators.hpp"
#include "core/passes/layers.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

/// `exponent_search` starts from the least square error and is refined by the pass of that name.
std::string_view estimator_name(const std::string& name) {
  return name == "exponent_search" ? std::string_view("mse") : name;
}

/// The lower median, as PyTorch's.
float median_magnitude(const Tensor<float>& tensor) {
  std::vector<float> magnitudes;
  for (const float x : tensor.span()) magnitudes.push_back(std::abs(x));
  const auto middle = magnitudes.begin() + static_cast<std::ptrdiff_t>((magnitudes.size() - 1) / 2);
  std::nth_element(magnitudes.begin(), middle, magnitudes.end());
  return *middle;
}

}  // namespace

Graph quantize(const Graph& graph, PassContext& context) {
  const PtqOptions& options = context.options;
  const std::vector<ValueId> values = quantized_values(graph);
  const std::vector<TensorStats> stats = collect_stats(graph, context.images, values, options.batch);
  const Estimator& activations = find_estimator(estimator_name(options.range));
  const Estimator& weights = find_estimator(estimator_name(options.weight_range));
  SpecMap specs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    QuantSpec spec = activations.choose(
        stats[i],
        {.bits = options.activation_bits, .is_signed = stats[i].is_signed(), .percentile = options.percentile});
    spec.frac = static_cast<std::int8_t>(spec.frac - options.headroom_bits);
    specs[graph.name(values[i])] = spec;
  }
  for (const ValueId id : quantized_weights(graph)) {
    specs[graph.name(id)] =
        weights.choose(TensorStats::of(graph.tensor(id).view()),
                       {.bits = options.weight_bits, .is_signed = true, .percentile = options.percentile});
  }
  context.reference = graph;
  context.report["images"] = context.images.count();
  return insert_quantizers(graph, specs, context.quantizers);
}

/// If max|w| > 15 and > 16 times the median magnitude: clamp to 120/128 of the power of two above the smaller of max
/// and 16 medians [ti-semantics 1.5].
Graph clip_weights(const Graph& graph, PassContext& context) {
  constexpr double kRatio = 16, kLargest = 15, kMargin = 120.0 / 128;
  Graph result = graph;
  auto& clipped = context.report["clipped"] = nlohmann::json::array();
  for (const ValueId id : quantized_weights(result)) {
    Tensor<float>& weights = result.tensor(id);
    double largest = 0;
    for (const float w : weights.span()) largest = std::max(largest, std::abs(static_cast<double>(w)));
    const double median = static_cast<double>(median_magnitude(weights));
    if (largest <= kLargest || largest <= kRatio * median) continue;
    const double limit = std::ldexp(1.0, ceil_log2(std::min(largest, kRatio * median))) * kMargin;
    for (float& w : weights.span()) w = static_cast<float>(std::clamp(static_cast<double>(w), -limit, limit));
    clipped.push_back({{"weights", result.name(id)}, {"largest", largest}, {"limit", limit}});
  }
  return result;
}

}  // namespace binade
