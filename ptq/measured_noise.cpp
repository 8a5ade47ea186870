// The noise model with gradient energies from backward passes.
#include "ptq/measured_noise.hpp"

#include <algorithm>

#include "ptq/sensitivity.hpp"

namespace binade {

NoiseModel measured_noise_model(const Graph& graph, const PassContext& context, bool may_rescale) {
  const PtqOptions& options = context.options;
  const int images = std::min(64, context.images.count());
  const auto measure = [&](std::span<const ValueId> values, const NoiseTables&) {
    return output_sensitivity(graph, context.images, values, (images + 1) / 2, options.seed);
  };
  return {graph,
          context.images,
          {.weight_bits = options.weight_bits,
           .activation_bits = options.activation_bits,
           .layer_bits = options.layer_bits,
           .may_rescale = may_rescale,
           .images = images,
           .batch = options.batch},
          measure};
}

}  // namespace binade
