// The pass that rounds weights layer by layer against the float network's outputs.
#include "calibration/round_layers.hpp"
#include "ptq/pass.hpp"

namespace binade {

Graph round_weights(const Graph& graph, PassContext& context) {
  const PtqOptions& options = context.options;
  RoundedLayers found = round_layers(graph, context.reference, context.images,
                                     {.ridge = options.ridge, .damping = options.damping, .seed = options.seed});
  context.report["layers"] = found.rounded;
  context.report["layers_to_nearest"] = found.to_nearest;
  context.report["images"] = found.images;
  return std::move(found.graph);
}

}  // namespace binade
