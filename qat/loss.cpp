// Appends the loss.
#include "qat/loss.hpp"

#include "core/base/error.hpp"

namespace binade {

ValueId logits_of(const Graph& network) {
  const Node* last = network.producer(network.output());
  while (last != nullptr && role_of(last->op) == Role::quantizer) last = network.producer(last->in[0]);
  return last != nullptr && std::holds_alternative<Softmax>(last->op) ? last->in[0] : network.output();
}

Graph with_loss(const Graph& network, const LossOptions& options) {
  if (!options.labels && options.distillation == 0)
    throw UsageError("no loss: give labels, or a weight of distillation");
  Graph graph = network;
  const ValueId logits = logits_of(graph);
  const Shape shape = graph.shape(logits);
  std::vector<ValueId> losses;
  if (options.labels) {
    const ValueId labels = graph.input(graph.unique_name("labels"), {1, shape.h, shape.w, 1});
    const CrossEntropy loss{.ignore_label = options.ignore_label, .label_smoothing = options.label_smoothing};
    std::vector<ValueId> in{logits, labels};
    if (!options.class_weights.empty()) {
      const auto classes = static_cast<int>(options.class_weights.size());
      in.push_back(graph.parameter(graph.unique_name("loss.class_weights.constant"),
                                   Tensor<float>(channel_shape(classes), options.class_weights)));
    }
    losses.push_back(graph.add(graph.unique_name("loss"), loss, in));
  }
  if (options.distillation != 0) {
    const ValueId teacher = graph.input(graph.unique_name("teacher"), shape);
    const Distillation loss{.temperature = options.temperature, .weight = options.distillation};
    std::vector<ValueId> in{logits, teacher};
    in.insert(in.end(), losses.begin(), losses.end());
    losses = {graph.add(graph.unique_name("distillation"), loss, in)};
  }
  graph.set_output(losses[0]);
  return graph;
}

}  // namespace binade
