// Stages by longest path over batch norms; kept is what another stage or the way back needs and nobody makes again.
#include "core/execute/stages.hpp"

#include <algorithm>

#include "core/ops/clamp.hpp"

namespace binade {
namespace {

bool is_cheap(const Node& node) {
  return is_batch_norm_on_batch(node) || is_clamp(node.op) || std::holds_alternative<Add>(node.op);
}

/// By node: whether the output depends on it.
std::vector<bool> leads_to_output(const Graph& graph) {
  std::vector<bool> leads(graph.nodes().size(), false), is_read(graph.values().size(), false);
  is_read[index_of(graph.output())] = true;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    leads[i] = is_read[index_of(node.out)];
    for (const ValueId id : node.in) is_read[index_of(id)] = is_read[index_of(id)] || leads[i];
  }
  return leads;
}

}  // namespace

bool is_batch_norm_on_batch(const Node& node) {
  const auto* norm = std::get_if<BatchNorm>(&node.op);
  return norm != nullptr && !norm->frozen;
}

int clamp_behind_norm(const Graph& graph, std::size_t node) {
  const Node& norm = graph.nodes()[node];
  const std::vector<int> readers = graph.consumers(norm.out);
  if (traits_of(norm.op).statistics == 0 || readers.size() != 1 || norm.out == graph.output()) return -1;
  return is_clamp(graph.nodes()[static_cast<std::size_t>(readers[0])].op) ? readers[0] : -1;
}

Stages stages_of(const Graph& graph, const std::vector<bool>& is_constant) {
  const std::size_t values = graph.values().size(), nodes = graph.nodes().size();
  Stages s{.of_value = std::vector<int>(values, 0),
           .of_node = std::vector<int>(nodes, -1),
           .is_norm = std::vector<bool>(nodes, false),
           .is_normalized = std::vector<bool>(values, false),
           .is_kept = std::vector<bool>(values, false),
           .has_batch_gradient = std::vector<bool>(values, false),
           .last_reader = std::vector<int>(values, -1),
           .is_made_again = std::vector<bool>(nodes, false)};
  const std::vector<bool> leads = leads_to_output(graph);
  std::vector<bool> between(values, false);           // a norm and its clamp
  std::vector<bool> is_done_with_norm(nodes, false);  // such a clamp
  for (std::size_t i = 0; i < nodes; ++i) {
    const Node& node = graph.nodes()[i];
    if (is_constant[index_of(node.out)] || !leads[i]) continue;
    s.is_norm[i] = is_batch_norm_on_batch(node);
    int stage = 0;
    for (const ValueId id : node.in) stage = std::max(stage, s.of_value[index_of(id)]);
    s.of_node[i] = s.of_value[index_of(node.out)] = stage + (s.is_norm[i] ? 1 : 0);
    s.count = std::max(s.count, s.of_node[i] + 1);
    for (const ValueId id : node.in) {
      int& last = s.last_reader[index_of(id)];
      if (!s.is_norm[i] && !is_constant[index_of(id)]) last = std::max(last, s.of_node[i]);
    }
    const int clamp = clamp_behind_norm(graph, i);
    if (clamp >= 0) between[index_of(node.out)] = is_done_with_norm[static_cast<std::size_t>(clamp)] = true;
    if (!s.is_norm[i]) continue;
    s.is_normalized[index_of(clamp < 0 ? node.out : graph.nodes()[static_cast<std::size_t>(clamp)].out)] = true;
  }
  if (s.count == 1) return s;
  for (std::size_t i = 0; i < nodes; ++i) {
    const Node& node = graph.nodes()[i];
    const std::size_t out = index_of(node.out);
    if (s.of_node[i] < 0 || between[out]) continue;
    const auto readers = graph.consumers(node.out);
    const bool crosses = std::any_of(readers.begin(), readers.end(), [&](int reader) {
      return s.of_node[static_cast<std::size_t>(reader)] > s.of_node[i];
    });
    // The last stage is there and back at once.
    const bool is_made_again = s.is_normalized[out] || (is_cheap(node) && !is_done_with_norm[i]);
    s.is_kept[out] = crosses || (s.of_node[i] + 1 < s.count && !is_made_again);
    s.has_batch_gradient[out] = s.is_normalized[out] || s.last_reader[out] > s.of_node[i];
  }
  // Of a norm with its clamp, the norm's node is what is run.
  for (std::size_t i = 0; i < nodes; ++i) {
    if (s.of_node[i] < 0 || s.of_node[i] + 1 >= s.count || !is_cheap(graph.nodes()[i])) continue;
    if (is_done_with_norm[i]) continue;
    const int clamp = s.is_norm[i] ? clamp_behind_norm(graph, i) : -1;
    const ValueId written = graph.nodes()[clamp < 0 ? i : static_cast<std::size_t>(clamp)].out;
    s.is_made_again[i] = !s.is_kept[index_of(written)];
  }
  return s;
}

std::vector<bool> read_by_images(const Graph& graph, const Stages& stages, const std::vector<bool>& is_constant,
                                 const std::vector<bool>& reaches) {
  std::vector<bool> read(graph.values().size(), false);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (stages.of_node[i] < 0 || stages.is_norm[i]) continue;
    for (const ValueId id : graph.nodes()[i].in) {
      if (is_constant[index_of(id)] && reaches[index_of(id)]) read[index_of(id)] = true;
    }
  }
  return read;
}

std::vector<std::vector<std::size_t>> touched_values(const Graph& graph, const Stages& stages) {
  std::vector<std::vector<std::size_t>> by_stage(static_cast<std::size_t>(stages.count));
  const auto touch = [&](int stage, ValueId id) {
    const std::size_t value = index_of(id);
    if (stage < 0 || stage >= stages.count || !(stages.is_kept[value] || stages.has_batch_gradient[value])) return;
    auto& touched = by_stage[static_cast<std::size_t>(stage)];
    if (std::count(touched.begin(), touched.end(), value) == 0) touched.push_back(value);
  };
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    touch(stages.of_node[i], node.out);
    for (const ValueId id : node.in) touch(stages.of_node[i], id);
  }
  return by_stage;
}

}  // namespace binade
