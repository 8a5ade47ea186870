// Grids are adapted in rounds, coarser each time, until every limit of the profile holds.
#include "core/passes/apply_target.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

void check(const TargetProfile& target) {
  const auto wants = [&](bool holds, const std::string& what) {
    if (!holds) throw UsageError(fmt::format("target '{}': {}", target.name, what));
  };
  for (const int bits : {target.accumulator_bits, target.wide_accumulator_bits}) {
    wants(bits >= 16 && bits <= 64, fmt::format("accumulators of {} bits, wanted 16 to 64", bits));
  }
  wants(target.bias_bits >= 2 && target.bias_bits <= 32,
        fmt::format("bias_bits is {}, wanted 2 to 32", target.bias_bits));
  wants(!target.bias_product || target.bias_bits == 16, "bias_product goes with bias_bits = 16");
  wants(target.min_shift >= -31 && target.max_shift <= 40 && target.min_shift <= target.max_shift,
        fmt::format("shifts from {} to {}, wanted a range inside -31 to 40", target.min_shift, target.max_shift));
}

QuantSpec coarser(QuantSpec spec, int by) {
  const int frac = spec.frac - by;
  if (frac < -100) throw DataError("a grid would need steps above 2^100");
  return {static_cast<std::int8_t>(frac), spec.bits, spec.is_signed};
}

/// The quantizer that a weighted node's result reaches, through activations; null if there is none.
const Node* output_quantizer(const Graph& graph, const Node& node) {
  ValueId id = node.out;
  for (;;) {
    const std::vector<int> readers = graph.consumers(id);
    const Node* next = nullptr;
    for (const int reader : readers) {
      const Node& candidate = graph.nodes()[static_cast<std::size_t>(reader)];
      if (fixed_quantizer(candidate.op) != nullptr) return &candidate;
      if (is_activation(candidate)) next = &candidate;
    }
    if (next == nullptr) return nullptr;
    id = next->out;
  }
}

/// The value a quantizer is for, by which its spec is known.
const std::string& quantized_name(const Graph& graph, const Node& quantizer) {
  return graph.name(quantizer.in[0]);
}

std::string origin(const Graph& graph, ValueId id) {
  const Node* quantizer = grid_of(graph, id);
  return quantizer == nullptr ? std::string() : quantized_name(graph, *quantizer);
}

/// Unsigned grids become signed ones with the same upper end.
void sign_activations(const Graph& graph, SpecMap& specs) {
  for (const Node& node : graph.nodes()) {
    if (fixed_quantizer(node.op) == nullptr || graph.is_parameter(node.in[0])) continue;
    const auto found = specs.find(quantized_name(graph, node));
    if (found == specs.end() || found->second.is_signed) continue;
    found->second = coarser(found->second, 1);
    found->second.is_signed = true;
  }
}

/// max over output channels of sum |w| * max |x| + |b|, in accumulator codes: never below the bound of the program.
double largest_accumulator(const Graph& quantized, const Node& node) {
  const QuantSpec input = *spec_of(quantized, node.in[kInput]), weights = *spec_of(quantized, node.in[kWeights]);
  const Rounding rounding = std::get<FakeQuant>(grid_of(quantized, node.in[kWeights])->op).rounding;
  const Tensor<float>& w = quantized.tensor(grid_of(quantized, node.in[kWeights])->in[0]);
  const double largest = static_cast<double>(input.max_magnitude());
  const std::int64_t oc = w.shape().n, per_channel = w.shape().count() / oc;
  double bound = 0;
  for (std::int64_t o = 0; o < oc; ++o) {
    double sum = 0;
    for (std::int64_t i = 0; i < per_channel; ++i) {
      sum += std::abs(quantize(static_cast<double>(w[o * per_channel + i]), weights, rounding));
    }
    sum *= largest;
    if (has_bias(node)) {
      const Node* bias = grid_of(quantized, node.in[kBias]);
      const float real = quantized.tensor(bias->in[0])[o];
      const auto& quantizer = std::get<FakeQuant>(bias->op);
      sum += std::abs(std::ldexp(fake_quantize(static_cast<double>(real), quantizer.spec, quantizer.rounding),
                                 input.frac + weights.frac));
    }
    bound = std::max(bound, sum);
  }
  return bound;
}

/// One round of limits: every grid that must become coarser for a weighted layer does. Returns whether any did.
bool fit_layers(const Graph& graph, const TargetProfile& target, SpecMap& specs) {
  bool changed = false;
  const bool wide = std::any_of(specs.begin(), specs.end(), [](const auto& entry) { return entry.second.bits > 8; });
  for (const Node& node : graph.nodes()) {
    if (!is_weighted(node)) continue;
    const auto input = spec_of(graph, node.in[kInput]), weights = spec_of(graph, node.in[kWeights]);
    const Node* quantizer = output_quantizer(graph, node);
    if (!input || !weights || quantizer == nullptr) continue;
    const int shift = input->frac + weights->frac - std::get<FakeQuant>(quantizer->op).spec.frac;
    int weights_by = std::max(shift - target.max_shift, 0);
    if (target.prove_accumulator) {
      const double room = std::ldexp(1.0, (wide ? target.wide_accumulator_bits : target.accumulator_bits) - 1) - 1;
      for (double bound = largest_accumulator(graph, node); bound > room; bound /= 2) ++weights_by;
    }
    if (weights_by > 0) {
      auto& spec = specs.at(origin(graph, node.in[kWeights]));
      spec = coarser(spec, weights_by);
      changed = true;
    } else if (shift < target.min_shift) {
      auto& spec = specs.at(quantized_name(graph, *quantizer));
      spec = coarser(spec, target.min_shift - shift);
      changed = true;
    }
  }
  return changed;
}

/// Operands of concatenations take the grid of the result: the coarsest, signed if any is.
bool join_concats(const Graph& graph, SpecMap& specs) {
  bool changed = false;
  for (const Node& node : graph.nodes()) {
    if (!std::holds_alternative<Concat>(node.op)) continue;
    const Node* quantizer = output_quantizer(graph, node);
    if (quantizer == nullptr) continue;
    auto& result = specs.at(quantized_name(graph, *quantizer));
    for (const ValueId id : node.in) {
      const auto found = specs.find(origin(graph, id));
      if (found == specs.end() || found->second == result) continue;
      if (found->second.is_signed && !result.is_signed) {
        result = coarser(result, 1);
        result.is_signed = true;
      }
      result.frac = std::min(result.frac, result.is_signed && !found->second.is_signed ? coarser(found->second, 1).frac
                                                                                       : found->second.frac);
      changed = changed || !(found->second == result);
      found->second = result;
    }
  }
  return changed;
}

/// Bits of the widest bias; 32 if no bias lies on a grid.
int widest_bias(const Graph& graph) {
  int bits = 0;
  for (const Node& node : graph.nodes()) {
    if (!has_bias(node)) continue;
    if (const auto spec = spec_of(graph, node.in[kBias])) bits = std::max<int>(bits, spec->bits);
  }
  return bits == 0 ? 32 : bits;
}

/// Clamps weights to codes of at least -(2^(b-1) - 1).
void narrow_weights(Graph& graph, const SpecMap& specs) {
  for (const ValueId id : quantized_weights(graph)) {
    const auto spec = specs.find(graph.name(id));
    if (spec == specs.end()) continue;
    const auto least = static_cast<float>(-spec->second.max_real());
    for (float& w : graph.tensor(id).span()) w = std::max(w, least);
  }
}

/// Operands of additions are brought to the grid of the sum first; constants stay as they are.
Graph requantize_operands(const Graph& graph, Rounding rounding) {
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    const Node* quantizer = std::holds_alternative<Add>(node.op) ? output_quantizer(graph, node) : nullptr;
    if (quantizer == nullptr) return static_cast<void>(to.copy(node));
    const QuantSpec sum = std::get<FakeQuant>(quantizer->op).spec;
    Node adapted = node;
    const std::vector<ValueId> before{to(node.in[0]), to(node.in[1])};
    for (std::size_t i = 0; i < 2; ++i) {
      const auto spec = spec_of(graph, node.in[i]);
      if (!spec || *spec == sum || graph.is_parameter(grid_of(graph, node.in[i])->in[0])) continue;
      Graph& target = to.target();
      to.replace(node.in[i], target.add(target.unique_name(fmt::format("{}.{}.q", node.name, i == 0 ? "a" : "b")),
                                        FakeQuant{.spec = sum, .rounding = rounding}, {before[i]}));
    }
    to.copy(adapted);
    for (std::size_t i = 0; i < 2; ++i) to.replace(node.in[i], before[i]);
  });
}

}  // namespace

QuantizerOptions quantizer_options(const TargetProfile& target) {
  return {.weights = target.weight_rounding,
          .biases = target.bias_rounding,
          .activations = target.activation_rounding,
          .joins = target.join_rounding,
          .averages = target.average_rounding,
          .bias_bits = target.bias_bits,
          .bias_product = target.bias_product};
}

Graph apply_target(const Graph& quantized, const TargetProfile& target) {
  check(target);
  QuantizerOptions options = quantizer_options(target);
  options.bias_bits = std::min(options.bias_bits, widest_bias(quantized));
  SpecMap specs = quantizer_specs(quantized);
  Graph floating = without_quantizers(quantized);
  if (!target.unsigned_activations) sign_activations(quantized, specs);
  if (target.narrow_weights) narrow_weights(floating, specs);
  Graph graph = insert_quantizers(floating, specs, options);
  constexpr int kRounds = 200;  // every round but the last makes a grid coarser; chains of concatenations need several
  int round = 0;
  for (; round < kRounds; ++round) {
    const bool joined = target.common_concat && join_concats(graph, specs);
    const bool fitted = fit_layers(graph, target, specs);
    if (!joined && !fitted) break;
    graph = insert_quantizers(floating, specs, options);
  }
  if (round == kRounds) throw DataError(fmt::format("the limits of target '{}' cannot all be met", target.name));
  return target.requantize_before_add ? requantize_operands(graph, target.join_rounding) : graph;
}

}  // namespace binade
