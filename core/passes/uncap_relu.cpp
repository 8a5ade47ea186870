// Clips from 0 become Relus.
#include "core/passes/uncap_relu.hpp"

namespace binade {

Graph uncap_relu(const Graph& graph) {
  return rewrite(graph, [](Rewriter& to, const Node& node) {
    const auto* clip = std::get_if<Clip>(&node.op);
    if (clip == nullptr || clip->lo != 0) return static_cast<void>(to.copy(node));
    to.replace(node.out, to.target().add(node.name, Relu{}, {to(node.in[0])}));
  });
}

}  // namespace binade
