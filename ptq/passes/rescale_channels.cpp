// The pass that rescales channels so that every grid, a power of two wide, fits what lies on it.
#include <algorithm>
#include <cmath>

#include "ptq/noise_model.hpp"
#include "ptq/pass.hpp"

namespace binade {

/// Cross-layer equalisation (Nagel et al. 2019, DFQ) with another goal: not equal ranges, but the least noise at the
/// output for the exponents that are best for it. Factors are any positive numbers, so a range that is rounded up to a
/// power of two on the one side is made to fill it, per tensor and per channel; ReLU6's limit moves to the end of its
/// grid.
Graph rescale_channels(const Graph& graph, PassContext& context) {
  const PtqOptions& options = context.options;
  NoiseModel model(graph, context.images,
                   {.weight_bits = options.weight_bits,
                    .activation_bits = options.activation_bits,
                    .images = std::min(64, context.images.count()),
                    .batch = options.batch,
                    .seed = options.seed});
  constexpr int kSweeps = 6;
  const NoiseModel::Total before = model.total();
  double last = before.sum();
  int sweeps = 0;
  while (sweeps < kSweeps) {
    bool moved = false;
    for (const ChannelGroup& group : model.groups()) moved = model.improve(group) || moved;
    ++sweeps;
    const double now = model.total().sum();
    if (!moved || now > last * 0.995) break;
    last = now;
  }
  const NoiseModel::Total after = model.total();
  context.report["sweeps"] = sweeps;
  context.report["groups"] = model.groups().size();
  context.report["noise_before"] = {{"weights", before.weights}, {"activations", before.activations}};
  context.report["noise_after"] = {{"weights", after.weights}, {"activations", after.activations}};
  return scaled(graph, model.scales(), model.factors(), model.clip_limits());
}

}  // namespace binade
