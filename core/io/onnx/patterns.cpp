// Operators that exporters write in pieces, joined again: clips in a row, hard sigmoid, hard swish, added biases.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "core/io/onnx/importer.hpp"

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
  /// The other operand of a node one of whose two inputs is the scalar parameter `value`.
  std::optional<ValueId> beside_scalar(const Node& node, double value) const {
    for (std::size_t i = 0; i < 2 && node.in.size() == 2; ++i) {
      const ValueId id = node.in[i];
      if (!graph_.is_parameter(id) || graph_.shape(id).count() != 1) continue;
      if (std::abs(static_cast<double>(graph_.tensor(id)[0]) - value) <= 1e-6 * std::abs(value)) return node.in[1 - i];
    }
    return std::nullopt;
  }

 private:
  const Graph& graph_;
  std::vector<int> uses_;
};

std::optional<Clip> as_clip(const Op& op) {
  constexpr double largest = 3.4028234663852886e38;
  if (std::holds_alternative<Relu>(op)) return Clip{.lo = 0, .hi = largest};
  if (const auto* clip = std::get_if<Clip>(&op)) return *clip;
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
    if (!std::holds_alternative<Mul>(outer.op)) continue;
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
    if (!std::holds_alternative<Mul>(outer.op)) continue;
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

/// Conv(x, w) + b -> Conv(x, w, b), under the convolution's name: b is its bias.
Plan join_biases(const Matcher& match) {
  Plan plan;
  const Graph& graph = match.graph();
  for (const Node& outer : graph.nodes()) {
    if (!std::holds_alternative<Add>(outer.op)) continue;
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
  for (const auto pattern : {join_clips, join_sixths, join_gates, join_biases}) {
    const Plan plan = pattern(Matcher(joined));
    if (!plan.replaced.empty()) joined = apply(joined, plan);
  }
  return joined;
}

}  // namespace binade::importer
