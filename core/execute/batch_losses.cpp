// Losses in pieces: weights of pieces are their parts of what counts.
#include "core/execute/batch_losses.hpp"

#include <algorithm>

namespace binade {
namespace {

/// The loss that a Distillation adds to; null for other nodes.
const ValueId* inner_loss(const Node& node) {
  const bool has_one = std::holds_alternative<Distillation>(node.op) && node.in.size() > 2;
  return has_one ? &node.in[2] : nullptr;
}

/// What the labels of an image count for: one each, or the weights of their classes where there are any. Labels that
/// are no classes are the op's to refuse.
double counted_labels(std::span<const float> labels, float ignored, std::span<const float> weights) {
  if (weights.empty()) {
    return static_cast<double>(labels.size()) - static_cast<double>(std::count(labels.begin(), labels.end(), ignored));
  }
  double sum = 0;
  for (const float label : labels) {
    if (label == ignored || !(label >= 0 && label < static_cast<float>(weights.size()))) continue;
    sum += static_cast<double>(weights[static_cast<std::size_t>(label)]);
  }
  return sum;
}

}  // namespace

bool is_loss(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  return node != nullptr && role_of(node->op) == Role::loss;
}

bool BatchLosses::applies(const Graph& graph) {
  if (!is_loss(graph, graph.output())) return false;
  for (const Node& node : graph.nodes()) {
    if (std::holds_alternative<CrossEntropy>(node.op) &&
        (graph.value(node.in[1]).kind != ValueKind::input || (node.in.size() > 2 && !graph.is_parameter(node.in[2])))) {
      return false;
    }
    const ValueId* inner = inner_loss(node);
    for (const ValueId id : node.in) {
      if (is_loss(graph, id) && (inner == nullptr || *inner != id)) return false;
    }
    if (is_loss(graph, node.out) && node.out != graph.output() && graph.consumers(node.out).size() != 1) return false;
  }
  return true;
}

BatchLosses::BatchLosses(const Graph& graph) : graph_(graph) {
  for (const Node& node : graph.nodes()) {
    if (!is_loss(graph, node.out)) continue;
    const ValueId* inner = inner_loss(node);
    const auto found = inner == nullptr ? values_.end() : std::find(values_.begin(), values_.end(), *inner);
    inner_.push_back(found == values_.end() ? -1 : static_cast<int>(found - values_.begin()));
    values_.push_back(node.out);
  }
}

void BatchLosses::count(std::span<const View<const float>> inputs) {
  const auto images = static_cast<std::size_t>(inputs[0].shape.n);
  counted_.assign(values_.size(), std::vector<double>(images, 1));
  totals_.assign(values_.size(), 0);
  for (std::size_t k = 0; k < values_.size(); ++k) {
    const Node& node = *graph_.producer(values_[k]);
    if (const auto* entropy = std::get_if<CrossEntropy>(&node.op)) {
      const auto input = std::find(graph_.inputs().begin(), graph_.inputs().end(), node.in[1]);
      const View<const float> labels = inputs[static_cast<std::size_t>(input - graph_.inputs().begin())];
      const bool has_weights = node.in.size() > 2;
      const std::span<const float> weights = has_weights ? graph_.tensor(node.in[2]).span() : std::span<const float>{};
      for (std::size_t i = 0; i < images; ++i) {
        counted_[k][i] = counted_labels(labels.images(static_cast<int>(i), 1).span(),
                                        static_cast<float>(entropy->ignore_label), weights);
      }
    }
    for (const double count : counted_[k]) totals_[k] += count;
  }
}

double BatchLosses::part(int first, int images, std::span<const double> of_piece, std::span<double> weights) const {
  double sum = 0;
  for (std::size_t k = 0; k < values_.size(); ++k) {
    double counted = 0;
    for (int i = first; i < first + images; ++i) counted += counted_[k][static_cast<std::size_t>(i)];
    const double weight = totals_[k] > 0 ? counted / totals_[k] : 0;
    weights[k] = weight;
    double own = of_piece[k];
    if (inner_[k] >= 0) {
      const auto inner = static_cast<std::size_t>(inner_[k]);
      own -= of_piece[inner];
      weights[inner] -= weight;  // on its way back a loss hands its own weight to the one it adds to
    }
    sum += weight * own;
  }
  return sum;
}

}  // namespace binade
