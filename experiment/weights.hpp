// --weights: a network that begins with the weights of another.
#pragma once

#include "core/model/model.hpp"
#include "core/passes/load_weights.hpp"
#include "experiment/network.hpp"

namespace binade {

/// The model as it is without --weights; with it, the layers of --weights-part with the weights of that file, notes
/// "weights", "weights kept", "weights unused" and "weights differ" that say so, and in `loaded` the same.
/// @throws DataError if they do not fit, naming both sides
Model with_weights(Model model, const NetworkSource& network, LoadedWeights* loaded = nullptr);

}  // namespace binade
