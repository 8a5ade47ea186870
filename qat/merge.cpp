// A quantized path on running statistics beside a float path on batch statistics.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/error.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "qat/training_graph.hpp"

namespace binade {
namespace {

/// A layer of the network with its batch norm, and what folding makes of it.
struct NormedLayer {
  const Node* layer = nullptr;
  const Node* norm = nullptr;
};

/// By the name of the layer.
std::map<std::string, NormedLayer> normed_layers(const Graph& network) {
  std::map<std::string, NormedLayer> layers;
  for (const Node& node : network.nodes()) {
    if (!std::holds_alternative<BatchNorm>(node.op)) continue;
    const Node* layer = network.producer(node.in[0]);
    if (layer == nullptr || !is_weighted(*layer) || network.consumers(layer->out).size() != 1) continue;
    layers[layer->name] = {layer, &node};
  }
  return layers;
}

const Tensor<float>& parameter_of(const Graph& graph, const std::string& name) {
  ValueId id{};
  require(graph.find(name, id) && graph.is_parameter(id), "merge: no parameter '" + name + "'");
  return graph.tensor(id);
}

class Merger {
 public:
  Merger(const Graph& quantized, const Graph& network)
      : quantized_(quantized), network_(network), folded_(fold_batch_norm(network)), layers_(normed_layers(network)) {}

  Graph merge() {
    return rewrite(quantized_, [&](Rewriter& to, const Node& node) { emit(to, node); });
  }

 private:
  void emit(Rewriter& to, const Node& node) {
    if (is_parameter_quantizer(node)) return;  // emitted with its layer
    if (is_weighted(node)) return emit_layer(to, node);
    if (const auto beside = float_path_.find(node.in[0]); beside != float_path_.end()) {
      if (const auto* fake = fixed_quantizer(node.op)) {
        const MergedQuant both{.spec = fake->spec, .rounding = fake->rounding};
        return to.replace(node.out, to.target().add(node.name, both, {beside->second, to(node.in[0])}));
      }
      require(is_activation(node) && node.in.size() == 1, "merge: '" + node.name + "' reads an unquantized layer");
      const ValueId carrier = beside->second;
      to.copy(node);
      float_path_[node.out] = to.target().add(to.target().unique_name(node.name + ".float"), node.op, {carrier});
      return;
    }
    to.copy(node);
  }

  /// Of weights or a bias that a layer with batch norm reads.
  bool is_parameter_quantizer(const Node& node) const {
    if (fixed_quantizer(node.op) == nullptr || !quantized_.is_parameter(node.in[0])) return false;
    const std::vector<int> readers = quantized_.consumers(node.out);
    return readers.size() == 1 && layers_.contains(quantized_.nodes()[static_cast<std::size_t>(readers[0])].name);
  }

  void emit_layer(Rewriter& to, const Node& node) {
    const auto found = layers_.find(node.name);
    if (found == layers_.end()) return static_cast<void>(to.copy(node));
    const auto& [layer, norm] = found->second;
    const Node* weights = quantized_.producer(node.in[kWeights]);
    const Node* bias = has_bias(node) ? quantized_.producer(node.in[kBias]) : nullptr;
    require(weights != nullptr && bias != nullptr, "merge: '" + node.name + "' is not quantized");
    Graph& target = to.target();
    const double epsilon = std::get<BatchNorm>(norm->op).epsilon;
    const auto keep = [&](ValueId id, Tensor<float> tensor) {
      return target.parameter(target.unique_name(network_.name(id)), std::move(tensor));
    };
    const ValueId gamma = keep(norm->in[1], network_.tensor(norm->in[1]));
    const ValueId mean = keep(norm->in[3], network_.tensor(norm->in[3]));
    const ValueId variance = keep(norm->in[4], network_.tensor(norm->in[4]));
    const ValueId beta = keep(norm->in[2], beta_for(node, *norm, *bias));
    // The merges take the names that folding gives, so the layer's own parameters get others.
    const ValueId w = target.parameter(target.unique_name(quantized_.name(weights->in[0]) + ".own"),
                                       weights_for(*layer, *norm, *weights));
    std::vector<ValueId> own{to(node.in[kInput]), w};
    std::vector<ValueId> bias_inputs{gamma, beta, mean, variance};
    if (has_bias(*layer)) {
      const ValueId b = target.parameter(target.unique_name(quantized_.name(bias->in[0]) + ".own"),
                                         network_.tensor(layer->in[kBias]));
      own.push_back(b);
      bias_inputs.push_back(b);
    }
    const ValueId raw = target.add(target.unique_name(layer->name + ".float"), layer->op, own);
    const ValueId carrier =
        target.add(target.unique_name(norm->name + ".float"), norm->op, {raw, gamma, beta, mean, variance});
    const ValueId merged_w = target.add(quantized_.name(weights->in[0]), MergedWeights{epsilon}, {w, gamma, variance});
    const ValueId merged_b = target.add(quantized_.name(bias->in[0]), MergedBias{epsilon}, bias_inputs);
    const ValueId quantized_w = target.add(weights->name, weights->op, {merged_w});
    const ValueId quantized_b = target.add(bias->name, bias->op, {merged_b});
    to.replace(node.out, target.add(node.name, node.op, {to(node.in[kInput]), quantized_w, quantized_b}));
    float_path_[node.out] = carrier;
  }

  /// The layer's own weights, or where PTQ changed the merged ones, those from which these come back.
  Tensor<float> weights_for(const Node& layer, const Node& norm, const Node& quantizer) const {
    const std::string& name = quantized_.name(quantizer.in[0]);
    const Tensor<float>& now = quantized_.tensor(quantizer.in[0]);
    const Tensor<float>& merged = parameter_of(folded_, name);
    const Tensor<float>& own = network_.tensor(layer.in[kWeights]);
    if (now == merged) return own;
    Tensor<float> result = now;
    const double epsilon = std::get<BatchNorm>(norm.op).epsilon;
    const std::int64_t length = now.count() / now.shape().n;
    double there = 0, moved = 0, largest = 0;
    for (const float w : now.span()) largest = std::max(largest, std::abs(static_cast<double>(w)));
    for (std::int64_t i = 0; i < now.count(); ++i) {
      const std::int64_t o = i / length;
      const double gain = static_cast<double>(network_.tensor(norm.in[1])[o]) /
                          std::sqrt(static_cast<double>(network_.tensor(norm.in[4])[o]) + epsilon);
      result[i] = gain == 0 ? own[i] : static_cast<float>(static_cast<double>(now[i]) / gain);
      // Clamping moves the largest far (clamp_weights), but to one and the same magnitude.
      const double before = static_cast<double>(merged[i]), after = static_cast<double>(now[i]);
      if (std::abs(after) == largest && std::abs(before) > largest && before * after > 0) continue;
      there += before * before;
      moved += (after - before) * (after - before);
    }
    if (moved > 0.25 * there) {
      throw UsageError("merge: the weights of '" + layer.name +
                       "' were rescaled or changed beyond recognition; start from a preset without rescale_channels");
    }
    return result;
  }

  /// beta, with what PTQ added to the merged bias.
  Tensor<float> beta_for(const Node& node, const Node& norm, const Node& quantizer) const {
    Tensor<float> beta = network_.tensor(norm.in[2]);
    const Tensor<float>&now = quantized_.tensor(quantizer.in[0]),
          &merged = parameter_of(folded_, quantized_.name(quantizer.in[0]));
    require(now.count() == beta.count(), "merge: the bias of '" + node.name + "' has another size");
    for (std::int64_t c = 0; c < beta.count(); ++c) {
      if (now[c] != merged[c]) beta[c] += now[c] - merged[c];
    }
    return beta;
  }

  const Graph& quantized_;
  const Graph& network_;
  Graph folded_;
  std::map<std::string, NormedLayer> layers_;
  std::map<ValueId, ValueId> float_path_;  ///< values of `quantized` to those of the float path beside them
};

}  // namespace

Graph merged_training_graph(const Graph& quantized, const Graph& network) {
  return Merger(quantized, network).merge();
}

Tensor<float> merged_value(const Graph& graph, ValueId id, const std::function<View<const float>(ValueId)>& elements) {
  const Node* node = graph.producer(id);
  Tensor<float> result(graph.shape(id));
  std::vector<View<const float>> in;
  if (node == nullptr) {
    const View<const float> view = elements(id);
    std::copy_n(view.data, view.count(), result.data());
    return result;
  }
  for (const ValueId input : node->in) in.push_back(elements(input));
  OpState state;
  const Forward<float> forward{.in = in, .out = result.view(), .state = state};
  binade::forward(node->op, forward);
  return result;
}

}  // namespace binade
