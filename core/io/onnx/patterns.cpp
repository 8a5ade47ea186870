// Operators that exporters write in pieces, joined again: clips in a row, hard sigmoid, hard swish, GELU, Mish, biases.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "core/io/onnx/importer.hpp"
#include "core/ops/clamp.hpp"

namespace binade::importer {
namespace {

/// What takes the place of a node, and which nodes it makes superfluous.
struct Plan {
  struct Replacement {
    std::string name;
    Op op;
    std::vector<ValueId> in;
  };
  std::map<int, Replacement> replaced;
  std::set<int> dropped;
};

/// A graph with what matching asks for.
class Matcher {
 public:
  explicit Matcher(const Graph& graph) : graph_(graph), uses_(graph.values().size()) {
    for (const Node& node : graph.nodes()) {
      for (const ValueId id : node.in) ++uses_[index_of(id)];
    }
    ++uses_[index_of(graph.output())];
  }

  const Graph& graph() const { return graph_; }
  int index(const Node& node) const { return static_cast<int>(&node - graph_.nodes().data()); }
  /// The node that makes `id`, if it is an O.
  template <class O>
  const Node* made_by(ValueId id) const {
    const Node* node = graph_.producer(id);
    return node != nullptr && std::holds_alternative<O>(node->op) ? node : nullptr;
  }
  /// The same, if nothing else reads its result.
  template <class O>
  const Node* only_for_us(ValueId id) const {
    return uses_[index_of(id)] == 1 ? made_by<O>(id) : nullptr;
  }
  /// The parameter of one element `value`.
  bool is_scalar(ValueId id, double value) const {
    if (!graph_.is_parameter(id) || graph_.shape(id).count() != 1) return false;
    return std::abs(static_cast<double>(graph_.tensor(id)[0]) - value) <= 1e-6 * std::abs(value);
  }
  /// The other operand of a node one of whose two inputs is the scalar parameter `value`.
  std::optional<ValueId> beside_scalar(const Node& node, double value) const {
    for (std::size_t i = 0; i < 2 && node.in.size() == 2; ++i) {
      if (is_scalar(node.in[i], value)) return node.in[1 - i];
    }
    return std::nullopt;
  }

 private:
  const Graph& graph_;
  std::vector<int> uses_;
};

std::optional<Clip> as_clip(const Op& op) {
  constexpr double largest = 3.4028234663852886e38;
  if (is_clamp(op)) {
    const Limits<double> limits = limits_of<double>(&op);
    return Clip{.lo = limits.lo, .hi = std::min(limits.hi, largest)};
  }
  return std::nullopt;
}

/// clip(clip(x)) -> clip(x)
Plan join_clips(const Matcher& match) {
  Plan plan;
  for (const Node& outer : match.graph().nodes()) {
    const auto second = as_clip(outer.op);
    if (!second) continue;
    const Node* inner = match.only_for_us<Relu>(outer.in[0]);
    if (inner == nullptr) inner = match.only_for_us<Clip>(outer.in[0]);
    if (inner == nullptr || plan.replaced.contains(match.index(*inner))) continue;
    const Clip first = *as_clip(inner->op);
    const Clip both{.lo = std::clamp(first.lo, second->lo, second->hi),
                    .hi = std::clamp(first.hi, second->lo, second->hi)};
    plan.dropped.insert(match.index(*inner));
    plan.replaced[match.index(outer)] = {outer.name, both, inner->in};
  }
  return plan;
}

/// The x of Clip(x + 3, 0, 6), and the two nodes.
struct ShiftedClip {
  ValueId x;
  const Node* add;
  const Node* clip;
};

std::optional<ShiftedClip> shifted_clip(const Matcher& match, ValueId id) {
  const Node* clip = match.only_for_us<Clip>(id);
  if (clip == nullptr || !(std::get<Clip>(clip->op) == Clip{.lo = 0, .hi = 6})) return std::nullopt;
  const Node* add = match.only_for_us<Add>(clip->in[0]);
  if (add == nullptr) return std::nullopt;
  const auto x = match.beside_scalar(*add, 3);
  if (!x) return std::nullopt;
  return ShiftedClip{*x, add, clip};
}

/// clip(x + 3, 0, 6) * (1/6) -> HardSigmoid(x);  (x * clip(x + 3, 0, 6)) * (1/6) -> HardSwish(x)
Plan join_sixths(const Matcher& match) {
  Plan plan;
  for (const Node& outer : match.graph().nodes()) {
    if (match.made_by<Mul>(outer.out) == nullptr) continue;
    const auto scaled = match.beside_scalar(outer, 1.0 / 6);
    if (!scaled) continue;
    if (const auto found = shifted_clip(match, *scaled)) {
      plan.dropped.insert({match.index(*found->add), match.index(*found->clip)});
      plan.replaced[match.index(outer)] = {outer.name, HardSigmoid{}, {found->x}};
      continue;
    }
    const Node* product = match.only_for_us<Mul>(*scaled);
    for (std::size_t i = 0; product != nullptr && i < 2; ++i) {
      const auto found = shifted_clip(match, product->in[i]);
      if (!found || product->in[1 - i] != found->x) continue;
      plan.dropped.insert({match.index(*found->add), match.index(*found->clip), match.index(*product)});
      plan.replaced[match.index(outer)] = {outer.name, HardSwish{}, {found->x}};
      break;
    }
  }
  return plan;
}

/// x * HardSigmoid(x) -> HardSwish(x)
Plan join_gates(const Matcher& match) {
  Plan plan;
  for (const Node& outer : match.graph().nodes()) {
    if (match.made_by<Mul>(outer.out) == nullptr) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      const Node* gate = match.only_for_us<HardSigmoid>(outer.in[i]);
      if (gate == nullptr || !(std::get<HardSigmoid>(gate->op) == HardSigmoid{}) || gate->in[0] != outer.in[1 - i])
        continue;
      plan.dropped.insert(match.index(*gate));
      plan.replaced[match.index(outer)] = {outer.name, HardSwish{}, {gate->in[0]}};
      break;
    }
  }
  return plan;
}

/// The x of 1 + erf(x / sqrt 2), and the three nodes.
struct ShiftedErf {
  ValueId x;
  std::set<int> nodes;
};

std::optional<ShiftedErf> shifted_erf(const Matcher& match, ValueId id) {
  const Node* add = match.only_for_us<Add>(id);
  const auto sum = add == nullptr ? std::nullopt : match.beside_scalar(*add, 1);
  const Node* erf = sum ? match.only_for_us<Erf>(*sum) : nullptr;
  const Node* scale = erf == nullptr ? nullptr : match.only_for_us<Mul>(erf->in[0]);
  const auto x = scale == nullptr ? std::nullopt : match.beside_scalar(*scale, std::sqrt(0.5));
  if (!x) return std::nullopt;
  return ShiftedErf{*x, {match.index(*add), match.index(*erf), match.index(*scale)}};
}

/// The products of x, 1 + erf(x / sqrt 2) and 1/2, in any order -> Gelu(x)
Plan join_gelus(const Matcher& match) {
  Plan plan;
  for (const Node& outer : match.graph().nodes()) {
    if (match.made_by<Mul>(outer.out) == nullptr) continue;
    std::vector<ValueId> factors(outer.in);
    std::set<int> dropped;
    for (std::size_t i = 0; i < 2 && factors.size() == 2; ++i) {
      const Node* inner = match.only_for_us<Mul>(outer.in[i]);
      if (inner == nullptr) continue;
      factors = {outer.in[1 - i], inner->in[0], inner->in[1]};
      dropped = {match.index(*inner)};
    }
    if (factors.size() != 3) continue;
    std::sort(factors.begin(), factors.end());
    do {
      const auto erf = shifted_erf(match, factors[1]);
      if (!erf || erf->x != factors[0] || !match.is_scalar(factors[2], 0.5)) continue;
      dropped.insert(erf->nodes.begin(), erf->nodes.end());
      plan.dropped.insert(dropped.begin(), dropped.end());
      plan.replaced[match.index(outer)] = {outer.name, Gelu{}, {erf->x}};
      break;
    } while (std::next_permutation(factors.begin(), factors.end()));
  }
  return plan;
}

/// x * tanh(softplus(x)) -> Mish(x)
Plan join_mishes(const Matcher& match) {
  Plan plan;
  for (const Node& outer : match.graph().nodes()) {
    if (match.made_by<Mul>(outer.out) == nullptr) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      const Node* tanh = match.only_for_us<Tanh>(outer.in[i]);
      const Node* softplus = tanh == nullptr ? nullptr : match.only_for_us<Softplus>(tanh->in[0]);
      if (softplus == nullptr || softplus->in[0] != outer.in[1 - i]) continue;
      plan.dropped.insert({match.index(*tanh), match.index(*softplus)});
      plan.replaced[match.index(outer)] = {outer.name, Mish{}, {softplus->in[0]}};
      break;
    }
  }
  return plan;
}

/// Conv(x, w) + b -> Conv(x, w, b), under the convolution's name: b is its bias.
Plan join_biases(const Matcher& match) {
  Plan plan;
  const Graph& graph = match.graph();
  for (const Node& outer : graph.nodes()) {
    if (match.made_by<Add>(outer.out) == nullptr) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      const ValueId bias = outer.in[1 - i];
      const Node* layer = match.only_for_us<Conv2d>(outer.in[i]);
      if (layer == nullptr) layer = match.only_for_us<ConvTranspose2d>(outer.in[i]);
      if (layer == nullptr) layer = match.only_for_us<Linear>(outer.in[i]);
      if (layer == nullptr || layer->in.size() != 2 || !graph.is_parameter(bias)) continue;
      if (!(graph.shape(bias) == channel_shape(graph.shape(layer->out).c))) continue;
      plan.dropped.insert(match.index(*layer));
      plan.replaced[match.index(outer)] = {layer->name, layer->op, {layer->in[0], layer->in[1], bias}};
      break;
    }
  }
  return plan;
}

Graph apply(const Graph& graph, const Plan& plan) {
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    const int index = static_cast<int>(&node - graph.nodes().data());
    if (plan.dropped.contains(index)) return;
    const auto found = plan.replaced.find(index);
    if (found == plan.replaced.end()) {
      to.copy(node);
      return;
    }
    std::vector<ValueId> in;
    for (const ValueId id : found->second.in) in.push_back(to(id));
    to.replace(node.out, to.target().add(to.target().unique_name(found->second.name), found->second.op, std::move(in)));
  });
}

}  // namespace

Graph join_patterns(const Graph& graph) {
  Graph joined = without_dead_nodes(graph);
  for (const auto pattern : {join_clips, join_sixths, join_gates, join_gelus, join_mishes, join_biases}) {
    const Plan plan = pattern(Matcher(joined));
    if (!plan.replaced.empty()) joined = apply(joined, plan);
  }
  return joined;
}

}  // namespace binade::importer
