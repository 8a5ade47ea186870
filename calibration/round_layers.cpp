// The walk from layer to layer.
#include "calibration/round_layers.hpp"

#include <algorithm>

#include "calibration/estimators/estimators.hpp"
#include "calibration/graph_walk.hpp"
#include "calibration/layer_samples.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

constexpr int kMostColumns = 2400;  ///< beyond, the factorisation costs more than it gains: rounding to nearest stays

bool can_round(const Graph& graph, const Node& node) {
  if (!as_convolution(node.op)) return false;
  const Node* quantizer = graph.producer(node.in[kWeights]);
  if (quantizer == nullptr || fixed_quantizer(quantizer->op) == nullptr) return false;
  const std::optional<QuantSpec> input = spec_of(graph, node.in[kInput]);
  const int bits = std::get<FakeQuant>(quantizer->op).spec.bits;
  if (!input || std::min<int>(bits, input->bits) > kFineBits) return false;
  const Shape& w = graph.shape(node.in[kWeights]);
  return graph.is_parameter(quantizer->in[0]) && graph.consumers(node.in[kWeights]).size() == 1 &&
         w.h * w.w * w.c <= kMostColumns;
}

void round_group(const LayerSamples& samples, int group, const FakeQuant& fake, const RoundLayersOptions& options,
                 float* w, float* bias) {
  const LayerMoments first = moments_of(samples, group, 0, samples.half),
                     second = moments_of(samples, group, samples.half, samples.rows);
  const LayerMoments all = samples.half > 0 ? joined(first, second) : second;
  const double ridge = options.ridge > 0 ? options.ridge : samples.half > 0 ? best_ridge(first, second, w) : 3;
  round_to_grid(all, {.ridge = ridge, .damping = options.damping}, fake.spec, fake.rounding, w);
  if (bias == nullptr) return;
  for (int o = 0; o < samples.outputs; ++o) {
    double b = all.mean_y[static_cast<std::size_t>(o)];
    for (int k = 0; k < samples.columns; ++k) {
      b -= static_cast<double>(w[std::int64_t{o} * samples.columns + k]) * all.mean_x[static_cast<std::size_t>(k)];
    }
    bias[o] = static_cast<float>(b);
  }
}

void round_layer(GraphWalk& quantized, const GraphWalk& reference, const Node& node,
                 const RoundLayersOptions& options) {
  const Graph& graph = quantized.graph();
  const int per_image = std::max(1, options.pixels / quantized.images());
  const LayerSamples samples = sample_layer(quantized, reference, node, per_image, options.seed);
  const Node& quantizer = *graph.producer(node.in[kWeights]);
  const auto& fake = std::get<FakeQuant>(quantizer.op);
  float* weights = quantized.tensor(quantizer.in[0]).data();
  float* bias = nullptr;
  if (has_bias(node)) {
    const Node* bias_quantizer = graph.producer(node.in[kBias]);
    const ValueId id = bias_quantizer == nullptr ? node.in[kBias] : bias_quantizer->in[0];
    if (graph.is_parameter(id)) bias = quantized.tensor(id).data();
  }
  const std::int64_t block = std::int64_t{samples.outputs} * samples.columns;
  parallel_for(samples.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t g = begin; g < end; ++g) {
      round_group(samples, static_cast<int>(g), fake, options, weights + g * block,
                  bias == nullptr ? nullptr : bias + g * samples.outputs);
    }
  });
}

}  // namespace

RoundedLayers round_layers(const Graph& quantized, const Graph& reference, ImageSource& images,
                           const RoundLayersOptions& options) {
  GraphWalk here(quantized, images, options.images), there(reference, images, options.images);
  RoundedLayers result{.images = here.images()};
  for (int i = 0; i < static_cast<int>(quantized.nodes().size()); ++i) {
    const Node& node = quantized.nodes()[static_cast<std::size_t>(i)];
    if (!is_weighted(node)) continue;
    if (!can_round(quantized, node)) {
      ++result.to_nearest;
      continue;
    }
    ValueId twin{};
    require(reference.find(quantized.name(node.out), twin), "round_layers: the reference has no such node");
    here.advance_before(i);
    there.advance_before(reference.value(twin).node);
    round_layer(here, there, node, options);
    ++result.rounded;
  }
  result.graph = here.graph();
  return result;
}

}  // namespace binade
