// The pass that searches exponents by what they cost at the network's output.
#include "calibration/estimators/estimators.hpp"
#include "core/base/error.hpp"
#include "core/passes/layers.hpp"
#include "ptq/measured_noise.hpp"
#include "ptq/pass.hpp"

namespace binade {
/// Fine grids of activations only have to fit, which the pass `quantize` saw to on all images.
Graph search_exponents(const Graph& graph, PassContext& context) {
  const NoiseModel model = measured_noise_model(context.reference, context, false);
  SpecMap specs = quantizer_specs(graph);
  int changed = 0;
  const auto choose = [&](const std::string& name, int exponent) {
    QuantSpec& spec = specs.at(name);
    changed += exponent != spec.exponent() ? 1 : 0;
    spec = spec_for_exponent(exponent, spec.bits, spec.is_signed);
  };
  for (const ActivationSite& site : model.activations()) {
    if (site.bits <= kFineBits) choose(context.reference.name(site.value), site.exponent);
  }
  for (const WeightSite& site : model.weights()) {
    const std::string& name = context.reference.name(site.node->in[kWeights]);
    ValueId id{};
    require(graph.find(name, id) && graph.is_parameter(id), "search_exponents: no weights '" + name + "'");
    choose(name, model.weight_exponent(site, graph.tensor(id), context.quantizers.weights));
  }
  context.report["changed"] = changed;
  context.report["quantizers"] = specs.size();
  return with_specs(graph, specs, context.quantizers);
}

}  // namespace binade
