// A network as a value: append-only, topologically sorted by construction, deeply copyable.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/tensor.hpp"
#include "core/ops/ops.hpp"

namespace binade {

/// Index of a value in its graph.
enum class ValueId : std::int32_t {};
constexpr std::size_t index_of(ValueId id) {
  return static_cast<std::size_t>(id);
}

enum class ValueKind : std::uint8_t { input, parameter, result };

/// An edge: an input, a parameter, or what a node makes. Shapes are those of a batch of one.
struct Value {
  std::string name;
  Shape shape;
  ValueKind kind = ValueKind::result;
  int node = -1;         ///< result: the node that makes it
  Tensor<float> tensor;  ///< parameter: its elements
};

struct Node {
  std::string name;
  Op op;
  std::vector<ValueId> in;
  ValueId out{};
};

/// Nodes can only be added, after all they read; there is no way to make a cycle or a dangling edge.
class Graph {
 public:
  /// Declares an input; its batch extent must be 1 (any batch may be run).
  ValueId input(std::string name, Shape shape);
  ValueId parameter(std::string name, Tensor<float> tensor);
  /// Appends a node and returns its result, whose value bears the node's name.
  /// @throws DataError naming the node and the shapes if the op's contract is violated; ContractError for a name twice
  ValueId add(std::string name, Op op, std::vector<ValueId> in);
  void set_output(ValueId id);
  /// Other attributes for a node: the same kind of op, and a result of the same shape.
  void set_attributes(int node, const Op& op);

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Value>& values() const { return values_; }
  const Value& value(ValueId id) const { return values_[index_of(id)]; }
  const Shape& shape(ValueId id) const { return value(id).shape; }
  const std::string& name(ValueId id) const { return value(id).name; }
  const std::vector<ValueId>& inputs() const { return inputs_; }
  ValueId output() const;
  /// The parameters, in the order of declaration.
  std::vector<ValueId> parameters() const;
  bool is_parameter(ValueId id) const { return value(id).kind == ValueKind::parameter; }
  /// The elements of a parameter; the mutable form keeps the shape.
  const Tensor<float>& tensor(ValueId id) const;
  Tensor<float>& tensor(ValueId id);
  /// The node that makes a value; null for inputs and parameters.
  const Node* producer(ValueId id) const;
  /// Indices of the nodes that read a value, ascending; a node that reads it twice is listed once.
  std::vector<int> consumers(ValueId id) const;
  /// The value of that name, if there is one.
  bool find(std::string_view name, ValueId& id) const;
  /// "name", or "name.2", "name.3" ... when taken.
  std::string unique_name(std::string_view wanted) const;

 private:
  ValueId add_value(Value value);

  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<ValueId> inputs_;
  std::map<std::string, ValueId, std::less<>> names_;
  ValueId output_{-1};
};

/// The graph under construction during a rewrite, with the map from old values to new.
class Rewriter {
 public:
  explicit Rewriter(const Graph& source) : source_(source), map_(source.values().size(), ValueId{-1}) {}

  const Graph& source() const { return source_; }
  Graph& target() { return target_; }
  /// The new value that stands for an old one; parameters are copied on first use.
  ValueId operator()(ValueId old);
  /// From now on `fresh` stands for `old`.
  void replace(ValueId old, ValueId fresh) { map_[index_of(old)] = fresh; }
  /// Copies the node with its inputs mapped and lets its result stand for the old one.
  ValueId copy(const Node& node);

 private:
  const Graph& source_;
  Graph target_;
  std::vector<ValueId> map_;
};

/// Called for each node in order: must copy it, or see to it that something else stands for its result if anything
/// still reads that.
using Emit = std::function<void(Rewriter&, const Node&)>;

/// The one way to change a graph: a new one, node by node. Parameters that nothing reads any more are dropped.
Graph rewrite(const Graph& graph, const Emit& emit);

/// Removes nodes and parameters that the output does not need.
Graph without_dead_nodes(const Graph& graph);

/// The part of a graph between `from` (which become inputs) and `to`, the last of which becomes the output.
Graph extract(const Graph& graph, std::span<const ValueId> from, std::span<const ValueId> to);

}  // namespace binade
