// The pass that searches exponents by what they cost at the network's output.
#include <algorithm>
#include <cmath>

#include "core/base/parallel.hpp"
#include "core/passes/layers.hpp"
#include "ptq/noise_model.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

/// The squared error that rounding these weights on a grid leaves at the output, by the noise model's weights.
double weight_error(const Graph& graph, const WeightSite& site, QuantSpec spec, Rounding rounding) {
  const Tensor<float>& w = graph.tensor(site.node->in[kWeights]);
  const std::int64_t per_row = w.count() / w.shape().n;
  double sum = 0;
  for (std::int64_t i = 0; i < w.count(); ++i) {
    const auto row = static_cast<int>(i / per_row), column = static_cast<int>(i % w.shape().c);
    const double error = static_cast<double>(w[i]) - fake_quantize(static_cast<double>(w[i]), spec, rounding);
    const auto channel = static_cast<std::size_t>(input_channel(graph, *site.node, row, column));
    sum += error * error * site.energy[static_cast<std::size_t>(row)] * site.variance[channel];
  }
  return sum;
}

}  // namespace

Graph search_exponents(const Graph& graph, PassContext& context) {
  const PtqOptions& options = context.options;
  const NoiseModel model(context.reference, context.images,
                         {.weight_bits = options.weight_bits,
                          .activation_bits = options.activation_bits,
                          .images = std::min(64, context.images.count()),
                          .batch = options.batch,
                          .seed = options.seed});
  SpecMap specs = quantizer_specs(graph);
  int changed = 0;
  const auto choose = [&](const std::string& name, int exponent) {
    QuantSpec& spec = specs.at(name);
    const auto frac = static_cast<std::int8_t>(spec.bits - (spec.is_signed ? 1 : 0) - exponent);
    changed += frac != spec.frac ? 1 : 0;
    spec.frac = frac;
  };
  for (const ActivationSite& site : model.activations()) choose(context.reference.name(site.value), site.exponent);
  for (const WeightSite& site : model.weights()) {
    const std::string& name = context.reference.name(site.node->in[kWeights]);
    double least = INFINITY;
    int best = site.exponent;
    for (int exponent = site.exponent; exponent > site.exponent - 4; --exponent) {
      QuantSpec spec = specs.at(name);
      spec.frac = static_cast<std::int8_t>(spec.bits - 1 - exponent);
      const double error = weight_error(context.reference, site, spec, context.quantizers.weights);
      if (error < least) {
        least = error;
        best = exponent;
      }
    }
    choose(name, best);
  }
  context.report["changed"] = changed;
  context.report["quantizers"] = specs.size();
  return with_specs(graph, specs, context.quantizers);
}

}  // namespace binade
