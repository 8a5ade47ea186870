// The passes that choose first grids (`quantize`) and that limit activations and weights as TI does (`uncap_relu`,
// `clip_weights`).
#include "calibration/collect.hpp"
#include "calibration/estimators/estimators.hpp"
#include "core/passes/clamp_weights.hpp"
#include "core/passes/uncap_relu.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

constexpr std::string_view kSearch = "exponent_search";  ///< a start that the pass of that name refines

using Choose = QuantSpec (*)(const TensorStats&, const GridWish&);

}  // namespace

Graph quantize(const Graph& graph, PassContext& context) {
  const auto find_estimator = [&](std::string_view name) -> const Estimator& {  // the program's own among them
    return binade::find_estimator(name, context.estimators);
  };
  const PtqOptions& options = context.options;
  const std::vector<ValueId> values = quantized_values(graph);
  const std::vector<TensorStats> stats = collect_stats(graph, context.images, values, options.batch);
  const Choose activations = options.range == kSearch ? choose_by_width : find_estimator(options.range).choose;
  const Choose weights = options.weight_range == kSearch ? choose_mse : find_estimator(options.weight_range).choose;
  const Widths widths(graph, options.weight_bits, options.activation_bits, options.layer_bits);
  SpecMap specs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    QuantSpec spec = activations(
        stats[i], {.bits = widths(values[i]), .is_signed = stats[i].is_signed(), .percentile = options.percentile});
    spec.frac = static_cast<std::int8_t>(spec.frac - options.headroom_bits);
    specs[graph.name(values[i])] = spec;
  }
  for (const ValueId id : quantized_weights(graph)) {
    specs[graph.name(id)] = weights(TensorStats::of(graph.tensor(id).view()),
                                    {.bits = widths(id), .is_signed = true, .percentile = options.percentile});
  }
  context.report["images"] = context.images.count();
  return insert_quantizers(graph, specs, context.quantizers);
}

Graph uncap_activations(const Graph& graph, PassContext&) {
  return uncap_relu(graph);
}

/// The float network that biases are corrected against keeps its weights.
Graph clip_weights(const Graph& graph, PassContext& context) {
  Graph result = graph;
  auto& clipped = context.report["clipped"] = nlohmann::json::array();
  for (const ClampedWeights& weights : clamp_weights(result)) {
    clipped.push_back({{"weights", weights.name}, {"largest", weights.largest}, {"limit", weights.limit}});
  }
  return result;
}

}  // namespace binade
