// Small quantized networks for tests: random ones over the whole vocabulary, quantized by the ranges they show.
#pragma once

#include "core/base/random.hpp"
#include "core/graph/graph.hpp"

namespace binade::harness {

struct Widths {
  int weights = 8, activations = 8;
};

/// Quantizers by the min and max of one run on `images`, at powers of two.
Graph quantize_by_range(const Graph& graph, View<const float> images, Widths widths);

/// A float network of up to `nodes` random operators on an input of random extents.
Graph random_network(Random& random, int nodes);

/// Images for a graph's input, in [-1, 1.5).
Tensor<float> random_images(const Graph& graph, int count, Random& random);

}  // namespace binade::harness
