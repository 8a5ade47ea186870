// Runs a graph over calibration images and collects the statistics of its values.
#pragma once

#include <span>
#include <vector>

#include "calibration/stats.hpp"
#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"

namespace binade {

/// The statistics of `values` (inputs or results) over all images, in the order of `values`. `batch` images are run at
/// a time; the result does not depend on it, nor on the number of threads.
std::vector<TensorStats> collect_stats(const Graph& graph, ImageSource& images, std::span<const ValueId> values,
                                       int batch);

}  // namespace binade
