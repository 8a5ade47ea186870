// Batch-norm folding, in double so that the only loss is the final rounding to float.
#include "core/passes/fold_batch_norm.hpp"

#include <cmath>
#include <map>
#include <vector>

#include "core/passes/layers.hpp"

namespace binade {
namespace {

/// y = gain * x + offset, per channel.
struct Affine {
  std::vector<double> gain, offset;
};

Affine affine_of(const Graph& graph, const Node& node) {
  const auto& norm = std::get<BatchNorm>(node.op);
  const auto gamma = graph.tensor(node.in[1]).span(), beta = graph.tensor(node.in[2]).span();
  const auto mean = graph.tensor(node.in[3]).span(), variance = graph.tensor(node.in[4]).span();
  Affine affine;
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    affine.gain.push_back(gamma[c] / std::sqrt(static_cast<double>(variance[c]) + norm.epsilon));
    affine.offset.push_back(beta[c] - affine.gain[c] * mean[c]);
  }
  return affine;
}

bool has_constant_statistics(const Graph& graph, const Node& node) {
  for (std::size_t i = 1; i < node.in.size(); ++i) {
    if (!graph.is_parameter(node.in[i])) return false;
  }
  return true;
}

void emit_folded(Rewriter& to, const Node& layer, const Node& norm) {
  const Graph& from = to.source();
  const Affine affine = affine_of(from, norm);
  Tensor<float> weights = from.tensor(layer.in[kWeights]);
  const std::int64_t per_channel = weights.count() / weights.shape().n;
  for (std::int64_t i = 0; i < weights.count(); ++i) {
    weights[i] = static_cast<float>(weights[i] * affine.gain[static_cast<std::size_t>(i / per_channel)]);
  }
  Tensor<float> bias(channel_shape(weights.shape().n));
  for (std::size_t c = 0; c < affine.gain.size(); ++c) {
    const double old = has_bias(layer) ? from.tensor(layer.in[kBias])[static_cast<std::int64_t>(c)] : 0.0;
    bias[static_cast<std::int64_t>(c)] = static_cast<float>(affine.gain[c] * old + affine.offset[c]);
  }
  Graph& target = to.target();
  const std::string bias_name = has_bias(layer) ? from.name(layer.in[kBias]) : layer.name + ".bias";
  const ValueId x = to(layer.in[kInput]);
  const ValueId w = target.parameter(target.unique_name(from.name(layer.in[kWeights])), std::move(weights));
  const ValueId b = target.parameter(target.unique_name(bias_name), std::move(bias));
  const ValueId out = target.add(target.unique_name(layer.name), layer.op, {x, w, b});
  to.replace(layer.out, out);
  to.replace(norm.out, out);
}

void emit_depthwise(Rewriter& to, const Node& norm) {
  const Affine affine = affine_of(to.source(), norm);
  const int channels = static_cast<int>(affine.gain.size());
  Tensor<float> weights({channels, 1, 1, 1}), bias(channel_shape(channels));
  for (int c = 0; c < channels; ++c) {
    weights[c] = static_cast<float>(affine.gain[static_cast<std::size_t>(c)]);
    bias[c] = static_cast<float>(affine.offset[static_cast<std::size_t>(c)]);
  }
  Graph& target = to.target();
  const ValueId x = to(norm.in[0]);
  const ValueId w = target.parameter(target.unique_name(norm.name + ".weight"), std::move(weights));
  const ValueId b = target.parameter(target.unique_name(norm.name + ".bias"), std::move(bias));
  to.replace(norm.out, target.add(target.unique_name(norm.name), Conv2d{.groups = channels}, {x, w, b}));
}

}  // namespace

Graph fold_batch_norm(const Graph& graph) {
  std::map<const Node*, const Node*> folded;  // layer -> its batch norm
  std::map<const Node*, bool> absorbed;       // batch norms that went into a layer
  for (const Node& node : graph.nodes()) {
    if (!std::holds_alternative<BatchNorm>(node.op) || !has_constant_statistics(graph, node)) continue;
    const Node* layer = graph.producer(node.in[0]);
    const bool alone = layer != nullptr && graph.consumers(layer->out).size() == 1 && layer->out != graph.output();
    if (alone && is_weighted(*layer) && graph.is_parameter(layer->in[kWeights]) &&
        (!has_bias(*layer) || graph.is_parameter(layer->in[kBias])) &&
        graph.consumers(layer->in[kWeights]).size() == 1) {
      folded[layer] = &node;
      absorbed[&node] = true;
    }
  }
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    if (const auto it = folded.find(&node); it != folded.end()) return emit_folded(to, node, *it->second);
    if (absorbed.contains(&node)) return;
    if (std::holds_alternative<BatchNorm>(node.op) && has_constant_statistics(graph, node)) {
      return emit_depthwise(to, node);
    }
    to.copy(node);
  });
}

}  // namespace binade
