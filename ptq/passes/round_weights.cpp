// The pass that rounds weights layer by layer against the float network's outputs.
#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/passes/layers.hpp"
#include "ptq/graph_walk.hpp"
#include "ptq/layer_samples.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

constexpr int kImages = 64;         ///< at most so many calibration images
constexpr int kPixels = 256;        ///< sampled per image and layer
constexpr int kMostColumns = 2400;  ///< beyond, the factorisation costs more than it gains: rounding to nearest stays

bool can_round(const Graph& graph, const Node& node) {
  if (!as_convolution(node.op)) return false;
  const Node* quantizer = graph.producer(node.in[kWeights]);
  if (quantizer == nullptr || fixed_quantizer(quantizer->op) == nullptr) return false;
  const Shape& w = graph.shape(node.in[kWeights]);
  return graph.is_parameter(quantizer->in[0]) && graph.consumers(node.in[kWeights]).size() == 1 &&
         w.h * w.w * w.c <= kMostColumns;
}

void round_layer(GraphWalk& quantized, const GraphWalk& reference, const Node& node, const PtqOptions& options) {
  const Graph& graph = quantized.graph();
  const LayerSamples samples = sample_layer(quantized, reference, node, kPixels, options.seed);
  const Node& quantizer = *graph.producer(node.in[kWeights]);
  const auto& fake = std::get<FakeQuant>(quantizer.op);
  Tensor<float>& weights = quantized.tensor(quantizer.in[0]);
  const std::int64_t block = std::int64_t{samples.outputs} * samples.columns;
  Tensor<float>* bias = nullptr;
  if (has_bias(node)) {
    const Node* bias_quantizer = graph.producer(node.in[kBias]);
    bias = &quantized.tensor(bias_quantizer == nullptr ? node.in[kBias] : bias_quantizer->in[0]);
  }
  const RoundingOptions rounding{.ridge = options.ridge, .damping = options.damping};
  parallel_for(samples.groups, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t g = begin; g < end; ++g) {
      std::vector<double> mean_x, mean_y;
      const LayerMoments moments = moments_of(samples, static_cast<int>(g), mean_x, mean_y);
      float* w = weights.data() + g * block;
      round_to_grid(moments, rounding, fake.spec, fake.rounding, w);
      if (bias == nullptr) continue;
      for (int o = 0; o < samples.outputs; ++o) {
        double b = mean_y[static_cast<std::size_t>(o)];
        for (int k = 0; k < samples.columns; ++k) {
          b -= static_cast<double>(w[std::int64_t{o} * samples.columns + k]) * mean_x[static_cast<std::size_t>(k)];
        }
        (*bias)[g * samples.outputs + o] = static_cast<float>(b);
      }
    }
  });
}

}  // namespace

Graph round_weights(const Graph& graph, PassContext& context) {
  GraphWalk quantized(graph, context.images, kImages), reference(context.reference, context.images, kImages);
  int rounded = 0, kept = 0;
  for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(i)];
    if (!is_weighted(node)) continue;
    if (!can_round(graph, node)) {
      ++kept;
      continue;
    }
    ValueId twin{};
    require(context.reference.find(graph.name(node.out), twin), "round_weights: the reference has no such node");
    quantized.advance_before(i);
    reference.advance_before(context.reference.value(twin).node);
    round_layer(quantized, reference, node, context.options);
    ++rounded;
  }
  context.report["layers"] = rounded;
  context.report["layers_to_nearest"] = kept;
  context.report["images"] = quantized.images();
  return quantized.graph();
}

}  // namespace binade
