// One run of the network, with the moments of each norm's input kept per image and joined in the images' order.
#include "core/passes/measure_batch_norm.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/ops/batch_norm.hpp"

namespace binade {
namespace {

void set_statistics(Graph& graph, const Node& node, const ChannelMoments& moments) {
  const double epsilon = std::get<BatchNorm>(node.op).epsilon;
  Tensor<float>&gamma = graph.tensor(node.in[1]), &beta = graph.tensor(node.in[2]);
  Tensor<float>&mean = graph.tensor(node.in[3]), &variance = graph.tensor(node.in[4]);
  for (std::int64_t c = 0; c < gamma.count(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    const double gain = static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    const double offset = static_cast<double>(beta[c]) - gain * static_cast<double>(mean[c]);
    mean[c] = static_cast<float>(moments.mean[at]);
    variance[c] = static_cast<float>(moments.squares[at] / moments.pixels);
    gamma[c] = static_cast<float>(gain * std::sqrt(static_cast<double>(variance[c]) + epsilon));
    beta[c] = static_cast<float>(offset + gain * static_cast<double>(mean[c]));
  }
}

bool all_near(const Tensor<float>& tensor, double value, double tolerance) {
  return std::all_of(tensor.span().begin(), tensor.span().end(),
                     [&](float x) { return std::abs(static_cast<double>(x) - value) <= tolerance; });
}

}  // namespace

std::vector<std::string> identity_batch_norms(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) {
    const auto* norm = std::get_if<BatchNorm>(&node.op);
    if (norm == nullptr) continue;
    if (!std::all_of(node.in.begin() + 1, node.in.end(), [&](ValueId id) { return graph.is_parameter(id); })) continue;
    const double near = norm->epsilon + 1e-6;
    const bool is_identity = all_near(graph.tensor(node.in[1]), 1, near) && all_near(graph.tensor(node.in[3]), 0, 0) &&
                             all_near(graph.tensor(node.in[4]), 1, near);
    if (is_identity) names.push_back(node.name);
  }
  return names;
}

Graph measure_batch_norm(const Graph& graph, std::span<const std::string> norms, View<const float> images) {
  std::map<ValueId, std::vector<ChannelMoments>> measured;  // by the norm's input
  std::map<const Node*, ValueId> inputs;
  for (const std::string& name : norms) {
    ValueId id{};
    require(graph.find(name, id) && graph.producer(id) != nullptr &&
                std::holds_alternative<BatchNorm>(graph.producer(id)->op),
            "measure_batch_norm: '" + name + "' is no BatchNorm");
    const Node* node = graph.producer(id);
    inputs[node] = node->in[0];
    measured[node->in[0]].resize(static_cast<std::size_t>(images.shape.n));
  }
  Executor<float> executor(graph);
  executor.forward(images, [&](ValueId id, View<const float> view, int first) {
    const auto found = measured.find(id);
    if (found == measured.end()) return;
    for (int i = 0; i < view.shape.n; ++i) {
      found->second[static_cast<std::size_t>(first + i)] = moments_of(view.images(i, 1));
    }
  });
  Graph result = graph;
  for (const auto& [node, input] : inputs) {
    ChannelMoments all;
    for (const ChannelMoments& image : measured.at(input)) all.add(image);
    set_statistics(result, *node, all);
  }
  return result;
}

}  // namespace binade
