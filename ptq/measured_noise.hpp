// The noise model as the passes use it: with sensitivities that are measured.
#pragma once

#include "calibration/noise_model.hpp"
#include "ptq/pass.hpp"

namespace binade {

/// Of a float graph, over at most 64 calibration images, half of them for gradients. The graph must outlive it.
NoiseModel measured_noise_model(const Graph& graph, const PassContext& context, bool may_rescale);

}  // namespace binade
