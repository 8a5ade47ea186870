// TI's way with ReLU6: its cap goes, because a quantizer with an estimated range stands in its place.
#pragma once

#include "core/graph/graph.hpp"

namespace binade {

/// Every Clip from 0 to a positive limit becomes a Relu: what bounds the activation is the end of its grid, which TI's
/// quantizer estimates from what lies below and above the old limit alike. @source [docs/ti.md 2.2, 2.8]
Graph uncap_relu(const Graph& graph);

}  // namespace binade
