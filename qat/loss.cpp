// Appends the loss.
#include "qat/loss.hpp"

namespace binade {

Graph with_loss(const Graph& network, const LossOptions& options) {
  Graph graph = network;
  ValueId logits = graph.output();
  if (const Node* last = graph.producer(logits); last != nullptr && std::holds_alternative<Softmax>(last->op)) {
    logits = last->in[0];
  }
  const Shape shape = graph.shape(logits);
  const ValueId labels = graph.input(graph.unique_name("labels"), {1, shape.h, shape.w, 1});
  const CrossEntropy loss{.ignore_label = options.ignore_label, .label_smoothing = options.label_smoothing};
  graph.set_output(graph.add(graph.unique_name("loss"), loss, {logits, labels}));
  return graph;
}

}  // namespace binade
