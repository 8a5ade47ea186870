// Kahn's algorithm over the names of values, with the file's own order among nodes that are ready.
#include "core/io/onnx/node_order.hpp"

#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade::importer {
namespace {

using Makers = std::unordered_map<std::string, int>;  // name of a value -> index of the node that makes it

Makers makers_of(const ::onnx::GraphProto& graph) {
  Makers makers;
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& name : graph.node(i).output()) {
      if (!name.empty()) makers.emplace(name, i);
    }
  }
  return makers;
}

bool is_sorted(const ::onnx::GraphProto& graph, const Makers& makers) {
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& name : graph.node(i).input()) {
      const auto maker = makers.find(name);
      if (maker != makers.end() && maker->second >= i) return false;
    }
  }
  return true;
}

}  // namespace

void sort_nodes(::onnx::GraphProto& graph) {
  const Makers makers = makers_of(graph);
  if (is_sorted(graph, makers)) return;
  const auto count = static_cast<std::size_t>(graph.node_size());
  std::vector<int> waits(count);                 // for so many inputs
  std::vector<std::vector<int>> readers(count);  // of a node's results, once per input
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const std::string& name : graph.node(i).input()) {
      const auto maker = makers.find(name);
      if (maker == makers.end()) continue;
      ++waits[static_cast<std::size_t>(i)];
      readers[static_cast<std::size_t>(maker->second)].push_back(i);
    }
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int i = 0; i < graph.node_size(); ++i) {
    if (waits[static_cast<std::size_t>(i)] == 0) ready.push(i);
  }
  google::protobuf::RepeatedPtrField<::onnx::NodeProto> sorted;
  std::vector<bool> done(count);
  while (!ready.empty()) {
    const int i = ready.top();
    ready.pop();
    done[static_cast<std::size_t>(i)] = true;
    *sorted.Add() = graph.node(i);
    for (const int reader : readers[static_cast<std::size_t>(i)]) {
      if (--waits[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (done[i]) continue;
    const ::onnx::NodeProto& node = graph.node(static_cast<int>(i));
    throw DataError(fmt::format("node '{}' ({}) depends on its own result; a network must not have cycles",
                                node.name().empty() && node.output_size() > 0 ? node.output(0) : node.name(),
                                node.op_type()));
  }
  graph.mutable_node()->Swap(&sorted);
}

}  // namespace binade::importer
