// Quantizers in and out of training.
#include "qat/training_graph.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/names.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

constexpr std::array kKinds{
    QuantizerKind{"tqt", "learned log2 thresholds, of weights too (Jain et al. 2019)"},
    QuantizerKind{"pact", "learned clips of activations, cut at the clip itself (Choi et al. 2018)"},
    QuantizerKind{"pact-pow2", "learned clips of activations, cut at the power of two at or above the clip (TI)"},
    QuantizerKind{"pact-ema", "TI's PACT2: running percentile ranges, rounded up to a power of two"},
    QuantizerKind{"lsq", "learned steps of any size, no fixed point (Esser et al. 2020): for comparison"},
    QuantizerKind{"fixed", "grids stay as they are, weights alone are trained"},
};

QuantizerRole role_of(const Graph& graph, const Node& quantizer) {
  for (const int reader : graph.consumers(quantizer.out)) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(reader)];
    if (has_bias(node) && node.in[kBias] == quantizer.out) return QuantizerRole::bias;
  }
  const Node* producer = graph.producer(quantizer.in[0]);
  const bool is_merged = producer != nullptr && role_of(producer->op) == Role::parameter;
  return is_merged || graph.is_parameter(quantizer.in[0]) ? QuantizerRole::weights : QuantizerRole::activation;
}

ValueId scalar_parameter(Graph& graph, const std::string& name, double value) {
  return graph.parameter(graph.unique_name(name), Tensor<float>(channel_shape(1), static_cast<float>(value)));
}

void emit_tqt(Rewriter& to, const Node& node, const FakeQuant& fake) {
  const ValueId x = to(node.in[0]);
  const ValueId threshold = scalar_parameter(to.target(), node.name + ".threshold", fake.spec.exponent() - 0.5);
  const Tqt op{.bits = fake.spec.bits, .is_signed = fake.spec.is_signed, .rounding = fake.rounding};
  to.replace(node.out, to.target().add(node.name, op, {x, threshold}));
}

/// Alpha begins inside the range: from 2^k it would need but one nudge to double the step. Where x is cut at alpha,
/// only a quarter of a step lies between, so that every element keeps its code.
void emit_pact(Rewriter& to, const Node& node, const FakeQuant& fake, const TrainingGraphOptions& options) {
  const ValueId x = to(node.in[0]);
  const bool at_grid_end = options.quantizer == "pact-pow2";
  const double end = std::ldexp(1.0, fake.spec.exponent());
  const double alpha = at_grid_end ? 0.75 * end : end - fake.spec.step() / 4;
  const ValueId clip = scalar_parameter(to.target(), node.name + ".alpha", alpha);
  const Pact op{.bits = fake.spec.bits,
                .is_signed = fake.spec.is_signed,
                .rounding = fake.rounding,
                .clipped = options.clipped,
                .at_grid_end = at_grid_end};
  to.replace(node.out, to.target().add(node.name, op, {x, clip}));
}

void emit_lsq(Rewriter& to, const Node& node, const FakeQuant& fake) {
  const ValueId x = to(node.in[0]);
  const ValueId step = scalar_parameter(to.target(), node.name + ".step", fake.spec.step());
  const double elements = static_cast<double>(to.target().shape(x).count());
  const Lsq op{.bits = fake.spec.bits,
               .is_signed = fake.spec.is_signed,
               .rounding = fake.rounding,
               .gradient_scale = 1 / std::sqrt(elements * static_cast<double>(fake.spec.max_code()))};
  to.replace(node.out, to.target().add(node.name, op, {x, step}));
}

/// The quantizer whose grid a value lies on: its node, or -1.
int quantizer_of(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  while (node != nullptr && keeps_grid(*node)) node = graph.producer(node->in[0]);
  return node != nullptr && is_quantizer(node->op) ? graph.value(node->out).node : -1;
}

/// The grid of the quantizer at `node`, with what it learned. @pre not Lsq
QuantSpec spec_at(const Graph& graph, int node) {
  const Node& quantizer = graph.nodes()[static_cast<std::size_t>(node)];
  const double learned = learns_grid(quantizer.op) ? static_cast<double>(graph.tensor(quantizer.in[1])[0]) : 0.0;
  const std::optional<QuantSpec> spec = quantizer_spec(quantizer.op, learned);
  require(spec.has_value(), "'" + quantizer.name + "' has no fixed-point grid");
  return *spec;
}

double max_abs(std::span<const float> elements) {
  double largest = 0;
  for (const float x : elements) largest = std::max(largest, std::abs(static_cast<double>(x)));
  return largest;
}

/// Whether a Clip in front of a quantizer takes away codes that it has.
bool moves_a_code(const Clip& clip, const FakeQuant& fake) {
  return quantize(clip.hi, fake.spec, fake.rounding) < fake.spec.max_code() ||
         quantize(clip.lo, fake.spec, fake.rounding) > fake.spec.min_code();
}

}  // namespace

std::span<const QuantizerKind> quantizer_kinds() {
  return kKinds;
}

bool is_quantizer(const Op& op) {
  return role_of(op) == Role::quantizer;
}

std::optional<QuantSpec> quantizer_spec(const Op& op, double learned) {
  return quantizer_grid(op, learned);
}

Graph training_graph(const Graph& quantized, const TrainingGraphOptions& options) {
  const std::string kind(find_by_name<QuantizerKind>("quantizer", options.quantizer, kKinds).name);
  return rewrite(quantized, [&](Rewriter& to, const Node& node) {
    const auto* fake = fixed_quantizer(node.op);
    if (fake == nullptr) return static_cast<void>(to.copy(node));
    const QuantizerRole role = role_of(quantized, node);
    if (role == QuantizerRole::bias && kind == "lsq") return to.replace(node.out, to(node.in[0]));
    // The grid of images stays: to learn it would take the gradient of the first layer's input.
    const bool is_image = quantized.value(node.in[0]).kind == ValueKind::input && kind != "lsq";
    if (role != QuantizerRole::bias && !is_image) {
      if (kind == "tqt") return emit_tqt(to, node, *fake);
      if (kind == "lsq") return emit_lsq(to, node, *fake);
      const bool is_pact = kind == "pact" || kind == "pact-pow2";
      if (is_pact && role == QuantizerRole::activation) return emit_pact(to, node, *fake, options);
    }
    FakeQuant plain = *fake;
    plain.clipped = options.clipped;
    to.replace(node.out, to.target().add(node.name, plain, {to(node.in[0])}));
  });
}

Graph with_free_weights(const Graph& quantized, const Graph& reference) {
  constexpr double kFree = 0.45;
  Graph result = quantized;
  for (const QuantizerSite& site : quantizer_sites(quantized)) {
    ValueId twin{};
    if (site.role != QuantizerRole::weights || !reference.find(quantized.name(site.value), twin)) continue;
    if (!reference.is_parameter(twin) || reference.shape(twin) != quantized.shape(site.value)) continue;
    const auto* fake = fixed_quantizer(quantized.nodes()[static_cast<std::size_t>(site.node)].op);
    if (fake == nullptr) continue;
    Tensor<float>& weights = result.tensor(site.value);
    const Tensor<float>& wanted = reference.tensor(twin);
    const double reach = kFree * fake->spec.step();
    for (std::int64_t i = 0; i < weights.count(); ++i) {
      const double code = fake_quantize(static_cast<double>(weights[i]), fake->spec, fake->rounding);
      weights[i] = static_cast<float>(std::clamp(static_cast<double>(wanted[i]), code - reach, code + reach));
    }
  }
  return result;
}

Graph with_snapped_weights(const Graph& quantized) {
  Graph result = quantized;
  for (const QuantizerSite& site : quantizer_sites(quantized)) {
    const auto* fake = fixed_quantizer(quantized.nodes()[static_cast<std::size_t>(site.node)].op);
    if (site.role != QuantizerRole::weights || fake == nullptr) continue;
    for (float& w : result.tensor(site.value).span()) w = fake_quantize(w, fake->spec, fake->rounding);
  }
  return result;
}

std::map<std::string, double> parameter_units(const Graph& quantized) {
  std::map<std::string, double> units;
  const std::vector<QuantizerSite> sites = quantizer_sites(quantized);
  for (const QuantizerSite& site : sites) {
    if (site.role == QuantizerRole::weights) {
      units[quantized.name(site.value)] = spec_at(quantized, site.node).step();
    }
  }
  for (const BiasSite& site : bias_sites(quantized)) {
    // From the layer on to the quantizer behind it, through its activation function.
    ValueId value = quantized.nodes()[static_cast<std::size_t>(site.node)].out;
    for (std::vector<int> readers = quantized.consumers(value); readers.size() == 1;
         readers = quantized.consumers(value)) {
      const Node& reader = quantized.nodes()[static_cast<std::size_t>(readers[0])];
      if (is_quantizer(reader.op)) {
        units[quantized.name(site.bias)] = spec_at(quantized, readers[0]).step();
        break;
      }
      value = reader.out;
    }
  }
  return units;
}

Graph frozen_graph(const Graph& training) {
  Graph frozen = rewrite(training, [&](Rewriter& to, const Node& node) {
    const bool is_merge = role_of(node.op) == Role::parameter;
    if (is_merge) {
      Tensor<float> value = merged_value(training, node.out, [&](ValueId id) { return training.tensor(id).view(); });
      return to.replace(node.out, to.target().parameter(to.target().unique_name(node.name), std::move(value)));
    }
    if (traits_of(node.op).integer == IntegerForm::none || !is_quantizer(node.op))
      return static_cast<void>(to.copy(node));
    const FakeQuant fake{.spec = spec_at(training, training.value(node.out).node), .rounding = rounding_of(node.op)};
    ValueId value = to(node.in[std::holds_alternative<MergedQuant>(node.op) ? 1 : 0]);
    if (const auto* pact = std::get_if<Pact>(&node.op)) {
      const double limit = pact->limit(static_cast<double>(training.tensor(node.in[1])[0]));
      const Clip clip{.lo = pact->is_signed ? -limit : 0, .hi = limit};
      if (moves_a_code(clip, fake)) {
        value = to.target().add(to.target().unique_name(node.name + ".clip"), clip, {value});
      }
    }
    to.replace(node.out, to.target().add(node.name, fake, {value}));
  });
  frozen = without_dead_nodes(frozen);  // the float path of merged layers
  for (const BiasSite& site : bias_sites(frozen)) {
    FakeQuant fake = std::get<FakeQuant>(frozen.nodes()[static_cast<std::size_t>(site.node)].op);
    fake.spec = bias_spec(spec_at(frozen, site.input), spec_at(frozen, site.weights),
                          max_abs(frozen.tensor(site.bias).span()), fake.spec.bits);
    frozen.set_attributes(site.node, fake);
  }
  return frozen;
}

std::vector<QuantizerSite> quantizer_sites(const Graph& graph) {
  std::vector<QuantizerSite> sites;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!is_quantizer(node.op)) continue;
    sites.push_back({static_cast<int>(i), role_of(graph, node), node.in[0],
                     learns_grid(node.op) ? std::optional(node.in[1]) : std::nullopt});
  }
  return sites;
}

std::vector<BiasSite> bias_sites(const Graph& graph) {
  std::vector<BiasSite> sites;
  for (const Node& node : graph.nodes()) {
    if (!has_bias(node)) continue;
    const Node* quantizer = graph.producer(node.in[kBias]);
    if (quantizer == nullptr || fixed_quantizer(quantizer->op) == nullptr) continue;
    const int input = quantizer_of(graph, node.in[kInput]), weights = quantizer_of(graph, node.in[kWeights]);
    const Node* merged = graph.producer(quantizer->in[0]);
    const bool is_known = merged == nullptr || role_of(merged->op) == Role::parameter;
    if (input >= 0 && weights >= 0 && is_known) {
      sites.push_back({graph.value(quantizer->out).node, quantizer->in[0], input, weights});
    }
  }
  return sites;
}

}  // namespace binade
