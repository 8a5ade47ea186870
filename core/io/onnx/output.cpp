// The output: which one is wanted, what it depends on, and how the network ends.
#include <algorithm>

#include <fmt/format.h>

#include "core/io/onnx/ends.hpp"

namespace binade::importer {
namespace {

/// "'features' [N, 64], 'logits' [N, 10]"
std::string list_outputs(const ::onnx::GraphProto& graph) {
  std::string text;
  for (const auto& output : graph.output()) {
    text +=
        fmt::format("{}'{}' {}", text.empty() ? "" : ", ", output.name(), text_of(output.type().tensor_type().shape()));
  }
  return text;
}

/// Whether the order of the axes is one of n, c, h, w or n, h, w, c, ignoring axes of extent 1.
bool is_upright(const Activation& activation, const Shape& shape) {
  const auto place = [&](Axis axis) {
    return std::find(activation.axes.begin(), activation.axes.end(), axis) - activation.axes.begin();
  };
  return shape.h == 1 || shape.w == 1 || place(Axis::h) < place(Axis::w);
}

/// One score per pixel or image, squashed by a sigmoid, is a network of two classes: its logits are {0, x}.
ValueId as_two_classes(Importer& importer, const Node& sigmoid, std::map<std::string, std::string>& notes) {
  notes["ending"] =
      fmt::format("the single Sigmoid output '{}' is read as two classes with the logits 0 and x", sigmoid.name);
  return importer.graph().add(importer.free_name(sigmoid.name + ".classes"), Pad{.channels_before = 1},
                              {sigmoid.in[0]});
}

}  // namespace

std::string choose_output(const ::onnx::GraphProto& graph, const ReadOptions& options) {
  if (graph.output_size() == 0) throw DataError("the network has no output; the file is damaged or cut off");
  if (options.output.empty()) {
    if (graph.output_size() == 1) return graph.output(0).name();
    throw DataError(fmt::format("the network has {} outputs; choose one with --output NAME: {}", graph.output_size(),
                                list_outputs(graph)));
  }
  for (const auto& output : graph.output()) {
    if (output.name() == options.output) return output.name();
  }
  throw DataError(fmt::format("the network has no output '{}'; it has {}", options.output, list_outputs(graph)));
}

Needed needed_for_output(const ::onnx::GraphProto& graph, const std::string& output) {
  Needed needed{std::vector<bool>(static_cast<std::size_t>(graph.node_size())), {output}};
  for (int i = graph.node_size(); i-- > 0;) {
    const auto& node = graph.node(i);
    const bool wanted = std::any_of(node.output().begin(), node.output().end(), [&](const std::string& name) {
      return !name.empty() && needed.values.contains(name);
    });
    if (!wanted) continue;
    needed.nodes[static_cast<std::size_t>(i)] = true;
    needed.values.insert(node.input().begin(), node.input().end());
  }
  return needed;
}

void set_output(Importer& importer, const std::string& output, std::map<std::string, std::string>& notes) {
  const Known* known = importer.find(output);
  if (known == nullptr) throw DataError(fmt::format("its output '{}' is made by no node; the file is damaged", output));
  const auto* activation = std::get_if<Activation>(known);
  const Node* producer = activation == nullptr ? nullptr : importer.graph().producer(activation->id);
  if (producer == nullptr) throw DataError(fmt::format("its output '{}' does not depend on any layer", output));
  if (!activation->flattened.empty()) {
    throw DataError(
        fmt::format("its output '{}' is a flattened feature map, whose order differs from Binade's; let the "
                    "network end before the Flatten",
                    output));
  }
  const Shape shape = importer.graph().shape(activation->id);
  if (!is_upright(*activation, shape)) {
    throw DataError(
        fmt::format("its output '{}' has height and width exchanged [{}]; let the network end before that "
                    "Transpose",
                    output, to_string(activation->axes)));
  }
  ValueId last = activation->id;
  if (!activation->ending.empty()) {
    notes["ending"] = fmt::format("the {} at the end is left out: the output is what it reads, whose order is the same",
                                  activation->ending);
  }
  if (std::holds_alternative<Sigmoid>(producer->op) && shape.c == 1) {
    last = as_two_classes(importer, Node(*producer), notes);
  }
  importer.graph().set_output(last);
}

}  // namespace binade::importer
