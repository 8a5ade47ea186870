// The graph's few mutators and the rewrites built on them.
#include "core/graph/graph.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade {

ValueId Graph::add_value(Value value) {
  require(!value.name.empty(), "a value needs a name");
  require(!names_.contains(value.name), "two values are called '" + value.name + "'");
  const auto id = static_cast<ValueId>(values_.size());
  names_.emplace(value.name, id);
  values_.push_back(std::move(value));
  return id;
}

ValueId Graph::input(std::string name, Shape shape) {
  require(shape.n == 1, "an input is declared for a batch of one");
  const ValueId id =
      add_value({.name = std::move(name), .shape = shape, .kind = ValueKind::input, .node = -1, .tensor = {}});
  inputs_.push_back(id);
  return id;
}

ValueId Graph::parameter(std::string name, Tensor<float> tensor) {
  const Shape shape = tensor.shape();
  return add_value(
      {.name = std::move(name), .shape = shape, .kind = ValueKind::parameter, .node = -1, .tensor = std::move(tensor)});
}

ValueId Graph::add(std::string name, Op op, std::vector<ValueId> in) {
  std::vector<Shape> shapes;
  for (const ValueId id : in) {
    require(index_of(id) < values_.size(), "node '" + name + "' reads a value that does not exist yet");
    shapes.push_back(shape(id));
  }
  const Shape shape =
      with_context(fmt::format("adding node '{}' ({})", name, op_name(op)), [&] { return binade::infer(op, shapes); });
  const ValueId out = add_value(
      {.name = name, .shape = shape, .kind = ValueKind::result, .node = static_cast<int>(nodes_.size()), .tensor = {}});
  nodes_.push_back({std::move(name), std::move(op), std::move(in), out});
  return out;
}

void Graph::set_output(ValueId id) {
  require(index_of(id) < values_.size(), "set_output: no such value");
  output_ = id;
}

ValueId Graph::output() const {
  require(output_ != ValueId{-1}, "the graph has no output");
  return output_;
}

void Graph::set_attributes(int node, const Op& op) {
  Node& changed = nodes_.at(static_cast<std::size_t>(node));
  require(op.index() == changed.op.index(), "set_attributes: '" + changed.name + "' would become another op");
  std::vector<Shape> shapes;
  for (const ValueId in : changed.in) shapes.push_back(shape(in));
  const Shape result = binade::infer(op, shapes);
  require(result == shape(changed.out), "set_attributes: '" + changed.name + "' would change its shape");
  changed.op = op;
}

std::vector<ValueId> Graph::parameters() const {
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].kind == ValueKind::parameter) ids.push_back(static_cast<ValueId>(i));
  }
  return ids;
}

const Tensor<float>& Graph::tensor(ValueId id) const {
  require(is_parameter(id), "'" + name(id) + "' is not a parameter");
  return values_[index_of(id)].tensor;
}

Tensor<float>& Graph::tensor(ValueId id) {
  require(is_parameter(id), "'" + name(id) + "' is not a parameter");
  return values_[index_of(id)].tensor;
}

const Node* Graph::producer(ValueId id) const {
  const int node = value(id).node;
  return node < 0 ? nullptr : &nodes_[static_cast<std::size_t>(node)];
}

std::vector<int> Graph::consumers(ValueId id) const {
  std::vector<int> found;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const auto& in = nodes_[i].in;
    if (std::find(in.begin(), in.end(), id) != in.end()) found.push_back(static_cast<int>(i));
  }
  return found;
}

bool Graph::find(std::string_view name, ValueId& id) const {
  const auto it = names_.find(name);
  if (it == names_.end()) return false;
  id = it->second;
  return true;
}

std::string Graph::unique_name(std::string_view wanted) const {
  if (!names_.contains(wanted)) return std::string(wanted);
  for (int i = 2;; ++i) {
    std::string candidate = fmt::format("{}.{}", wanted, i);
    if (!names_.contains(candidate)) return candidate;
  }
}

ValueId Rewriter::operator()(ValueId old) {
  ValueId& fresh = map_[index_of(old)];
  if (fresh == ValueId{-1}) {
    require(source_.is_parameter(old), "rewrite: nothing stands for '" + source_.name(old) + "'");
    fresh = target_.parameter(target_.unique_name(source_.name(old)), source_.tensor(old));
  }
  return fresh;
}

ValueId Rewriter::copy(const Node& node) {
  std::vector<ValueId> in;
  for (const ValueId id : node.in) in.push_back((*this)(id));
  const ValueId out = target_.add(target_.unique_name(node.name), node.op, std::move(in));
  replace(node.out, out);
  return out;
}

Graph rewrite(const Graph& graph, const Emit& emit) {
  Rewriter rewriter(graph);
  for (const ValueId id : graph.inputs()) {
    rewriter.replace(id, rewriter.target().input(graph.name(id), graph.shape(id)));
  }
  for (const Node& node : graph.nodes()) emit(rewriter, node);
  rewriter.target().set_output(rewriter(graph.output()));
  return std::move(rewriter.target());
}

namespace {

/// Which values those in `to` depend on, not looking past the values in `stop`.
std::vector<bool> needed_for(const Graph& graph, std::span<const ValueId> stop, std::span<const ValueId> to) {
  std::vector<bool> needed(graph.values().size());
  for (const ValueId id : to) needed[index_of(id)] = true;
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    if (!needed[index_of(node->out)]) continue;
    if (std::find(stop.begin(), stop.end(), node->out) != stop.end()) continue;
    for (const ValueId id : node->in) needed[index_of(id)] = true;
  }
  return needed;
}

}  // namespace

Graph without_dead_nodes(const Graph& graph) {
  const std::vector<bool> needed = needed_for(graph, {}, std::array{graph.output()});
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    if (needed[index_of(node.out)]) to.copy(node);
  });
}

Graph extract(const Graph& graph, std::span<const ValueId> from, std::span<const ValueId> to) {
  const std::vector<bool> needed = needed_for(graph, from, to);
  Rewriter rewriter(graph);
  for (const ValueId id : from) {
    rewriter.replace(id, rewriter.target().input(graph.name(id), graph.shape(id)));
  }
  for (const Node& node : graph.nodes()) {
    const bool given = std::find(from.begin(), from.end(), node.out) != from.end();
    if (needed[index_of(node.out)] && !given) rewriter.copy(node);
  }
  rewriter.target().set_output(rewriter(to.back()));
  return std::move(rewriter.target());
}

}  // namespace binade
