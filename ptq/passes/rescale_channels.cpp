// The pass that rescales channels so that every grid, a power of two wide, fits what lies on it.
#include <tuple>

#include "ptq/measured_noise.hpp"
#include "ptq/pass.hpp"

namespace binade {

/// Cross-layer equalisation (Nagel et al. 2019, DFQ) with another goal: not equal ranges, but the least noise at the
/// output for the exponents that are best for it. Factors are any positive numbers, so a range that is rounded up to a
/// power of two on the one side is made to fill it, per tensor and per channel; ReLU6's limit moves to the end of its
/// grid.
Graph rescale_channels(const Graph& graph, PassContext& context) {
  NoiseModel model = measured_noise_model(graph, context, true);
  const NoiseModel::Rescaling found = model.rescale();
  const auto& [before, after] = std::tie(found.before, found.after);
  context.report["sweeps"] = found.sweeps;
  context.report["kept"] = found.kept;
  context.report["groups"] = model.groups().size();
  context.report["noise_before"] = {{"weights", before.weights}, {"activations", before.activations}};
  context.report["noise_after"] = {{"weights", after.weights}, {"activations", after.activations}};
  if (!found.kept) return graph;
  return scaled(graph, model.scales(), model.factors(), model.clip_limits());
}

}  // namespace binade
