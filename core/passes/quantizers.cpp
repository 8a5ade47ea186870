// Placement and insertion of FakeQuant nodes.
#include "core/passes/quantizers.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/ti_bias.hpp"

namespace binade {
namespace {

constexpr std::string_view kSuffix = ".q";

bool depends_on_input(const Graph& graph, ValueId id, std::vector<signed char>& memo) {
  signed char& known = memo[index_of(id)];
  if (known >= 0) return known == 1;
  const Value& value = graph.value(id);
  bool depends = value.kind == ValueKind::input;
  if (const Node* node = graph.producer(id)) {
    for (const ValueId in : node->in) depends = depends || depends_on_input(graph, in, memo);
  }
  known = depends ? 1 : 0;
  return depends;
}

double max_abs(std::span<const float> elements) {
  double largest = 0;
  for (const float x : elements) largest = std::max(largest, std::abs(static_cast<double>(x)));
  return largest;
}

/// Bias quantizers are not chosen: their grids follow.
bool is_bias_quantizer(const Graph& graph, const Node& quantizer) {
  for (const int reader : graph.consumers(quantizer.out)) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(reader)];
    if (has_bias(node) && node.in[kBias] == quantizer.out) return true;
  }
  return false;
}

/// TI's biases: each becomes a product of an 8-bit code and the largest activation code, where the accumulator is fine.
/// A tensor of such products is left alone, so that a second run changes nothing.
QuantSpec split_bias(std::span<float> bias, QuantSpec input, QuantSpec weights) {
  const int joint = input.frac + weights.frac;
  const QuantSpec own = spec_for_clip(max_abs(bias), 8, true);
  const bool done = std::all_of(bias.begin(), bias.end(), [&](float real) {
    const TiBias split = ti_split_bias(0, own, joint, input.is_signed);
    const double a = std::ldexp(static_cast<double>(real), joint) / split.b;
    return split.is_product && a == std::trunc(a) && a >= -128 && a <= 127;
  });
  for (float& real : bias) {
    if (done) break;
    const TiBias split = ti_split_bias(static_cast<double>(real), own, joint, input.is_signed);
    real = static_cast<float>(std::ldexp(static_cast<double>(split.accumulator), -joint));
  }
  return {static_cast<std::int8_t>(joint), 16, true};
}

/// Copies a weighted node whose input and weights are on grids, with its bias on the grid that follows from them.
void emit_weighted(Rewriter& to, const Node& node, const QuantizerOptions& options) {
  const std::optional<QuantSpec> input = spec_of(to.target(), to(node.in[kInput]));
  const std::optional<QuantSpec> weights = spec_of(to.target(), to(node.in[kWeights]));
  const ValueId raw = has_bias(node) ? to(node.in[kBias]) : ValueId{-1};
  if (has_bias(node) && input && weights && to.target().is_parameter(raw)) {
    Graph& target = to.target();
    const std::span<float> bias = target.tensor(raw).span();
    const QuantSpec spec = options.bias_product ? split_bias(bias, *input, *weights)
                                                : bias_spec(*input, *weights, max_abs(bias), options.bias_bits);
    to.replace(node.in[kBias], target.add(target.unique_name(target.name(raw) + std::string(kSuffix)),
                                          FakeQuant{.spec = spec, .rounding = options.biases}, {raw}));
  }
  to.copy(node);
  if (has_bias(node)) to.replace(node.in[kBias], raw);  // another layer has another accumulator
}

/// The rounding of a value's quantizer goes by what makes the value, whatever activation is applied to it.
Rounding rounding_behind(const Graph& graph, ValueId id, const QuantizerOptions& options) {
  const Node* node = graph.producer(id);
  while (node != nullptr && is_activation(*node)) node = graph.producer(node->in[0]);
  if (node == nullptr) return options.activations;
  if (role_of(node->op) == Role::merge) return options.joins;
  const bool average = role_of(node->op) == Role::pool && !keeps_grid(node->op);
  return average ? options.averages : options.activations;
}

/// Makes the node approximate what integers approximate, at a precision that goes with the width of its codes.
Op with_integer_weights(const Rewriter& to, const Node& node, const SpecMap& specs) {
  Op op = node.op;
  const auto spec = specs.find(to.source().name(node.out));
  const bool wide = spec != specs.end() && spec->second.bits > 8;
  set_integer_bits(op, wide);
  return op;
}

/// Undoes with_integer_weights.
Op with_real_weights(Op op) {
  clear_integer_bits(op);
  return op;
}

}  // namespace

std::vector<ValueId> quantized_values(const Graph& graph) {
  std::vector<signed char> memo(graph.values().size(), -1);
  std::vector<ValueId> found = graph.inputs();
  for (const Node& node : graph.nodes()) {
    if (keeps_grid(node) || !depends_on_input(graph, node.out, memo)) continue;
    const std::vector<int> readers = graph.consumers(node.out);
    const bool only_activation = readers.size() == 1 && node.out != graph.output() &&
                                 is_activation(graph.nodes()[static_cast<std::size_t>(readers[0])]);
    if (!only_activation) found.push_back(node.out);
  }
  return found;
}

std::vector<ValueId> quantized_weights(const Graph& graph) {
  std::vector<ValueId> found;
  const auto take = [&](ValueId id) {
    if (graph.is_parameter(id) && std::find(found.begin(), found.end(), id) == found.end()) found.push_back(id);
  };
  for (const Node& node : graph.nodes()) {
    const OpTraits& traits = traits_of(node.op);
    const bool has_weights = (traits.learned >> kWeights & 1) != 0;
    if ((traits.role == Role::layer || traits.role == Role::activation) && has_weights) take(node.in[kWeights]);
    if (traits.role == Role::merge && traits.reads == Reads::element) {
      for (const ValueId id : node.in) take(id);
    }
  }
  return found;
}

QuantSpec bias_spec(QuantSpec input, QuantSpec weights, double max_abs_bias, int bits) {
  const QuantSpec own = spec_for_clip(max_abs_bias, bits, true);
  // Sixteen-bit operands make an accumulator whose units are too small for a 32-bit bias: then the bias is coarser, and
  // added shifted to the left.
  const int accumulator = input.frac + weights.frac;
  return {static_cast<std::int8_t>(std::min<int>(accumulator, own.frac)), static_cast<std::uint8_t>(bits), true};
}

Graph insert_quantizers(const Graph& graph, const SpecMap& specs, const QuantizerOptions& options) {
  const auto quantize = [&](Rewriter& to, ValueId old, Rounding rounding) {
    const auto spec = specs.find(graph.name(old));
    if (spec == specs.end()) return;
    Graph& target = to.target();
    const ValueId fresh = to(old);
    const Node* producer = target.producer(fresh);
    if (producer != nullptr && fixed_quantizer(producer->op) != nullptr) return;  // a shared parameter
    to.replace(old, target.add(target.unique_name(graph.name(old) + std::string(kSuffix)),
                               FakeQuant{.spec = spec->second, .rounding = rounding}, {fresh}));
  };
  bool inputs_done = false;
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    if (!inputs_done) {
      for (const ValueId id : graph.inputs()) quantize(to, id, options.activations);
      inputs_done = true;
    }
    for (const ValueId id : node.in) {
      if (graph.is_parameter(id)) quantize(to, id, options.weights);
    }
    const Node adapted{node.name, with_integer_weights(to, node, specs), node.in, node.out};
    is_weighted(node) ? emit_weighted(to, node, options) : static_cast<void>(to.copy(adapted));
    quantize(to, node.out, rounding_behind(graph, node.out, options));
  });
}

SpecMap quantizer_specs(const Graph& quantized) {
  SpecMap specs;
  for (const Node& node : quantized.nodes()) {
    if (fixed_quantizer(node.op) == nullptr || is_bias_quantizer(quantized, node)) continue;
    specs[quantized.name(node.in[0])] = std::get<FakeQuant>(node.op).spec;
  }
  return specs;
}

Graph with_specs(const Graph& quantized, const SpecMap& specs, const QuantizerOptions& options) {
  SpecMap merged = quantizer_specs(quantized);
  for (const auto& [name, spec] : specs) merged[name] = spec;
  return insert_quantizers(without_quantizers(quantized), merged, options);
}

bool is_quantized(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return fixed_quantizer(node.op) != nullptr; });
}

Graph without_quantizers(const Graph& quantized) {
  return rewrite(quantized, [&](Rewriter& to, const Node& node) {
    if (fixed_quantizer(node.op) != nullptr) return to.replace(node.out, to(node.in[0]));
    to.copy({node.name, with_real_weights(node.op), node.in, node.out});
  });
}

}  // namespace binade
