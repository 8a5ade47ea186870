// A quantized graph as a given device would compute it: the simulator's half of a target profile.
#pragma once

#include "core/graph/graph.hpp"
#include "core/integer/target.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {

/// The quantizer settings that a profile stands for.
QuantizerOptions quantizer_options(const TargetProfile& target);

/// The same network on grids and with roundings that the target has: signedness, widths of biases, policies of joins,
/// limits of shifts and accumulators. Grids only get coarser. What the target can do stays as it is; a second run
/// changes nothing.
/// @throws DataError if limits cannot be met, UsageError for a profile that contradicts itself
Graph apply_target(const Graph& quantized, const TargetProfile& target);

}  // namespace binade
