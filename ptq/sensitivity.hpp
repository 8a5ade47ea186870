// How much noise on each channel of a value moves the network's output: measured, without labels.
#pragma once

#include <span>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"

namespace binade {

/// For each value of `values`, per channel: the mean over images of sum over pixels of (d(r . y) / dx)^2, where y is
/// the output and r a vector of random signs. Independent noise of variance v on every pixel of the channel then adds
/// v times that number to the expected squared error of the output, to first order.
/// @math E_r[(r^T J)^2] = diag(J^T J) (Hutchinson's estimator)
std::vector<std::vector<double>> output_sensitivity(const Graph& graph, ImageSource& images,
                                                    std::span<const ValueId> values, int image_count,
                                                    std::uint64_t seed);

}  // namespace binade
