// Planning an inference run: which nodes become one step.
#include "core/execute/steps.hpp"

#include <cmath>
#include <limits>

#include "core/ops/clamp.hpp"
#include "core/ops/float_conv.hpp"

namespace binade {
namespace {

/// Where in the fixed order of an epilogue the next op may still go.
enum Place : int { at_before = 0, at_residual = 1, at_clamp = 2, at_after = 3, full = 4 };

/// FakeQuant as a kernel does it: scaling must be exact, so both factors have to be normal floats.
bool to_grid(const FakeQuant& op, simd::Grid& grid) {
  if (op.rounding != Rounding::half_up || std::abs(int{op.spec.frac}) > 100 || op.spec.bits > 24) return false;
  grid = {.scale = std::ldexp(1.0F, op.spec.frac),
          .inverse = std::ldexp(1.0F, -op.spec.frac),
          .lo = static_cast<float>(op.spec.min_code()),
          .hi = static_cast<float>(op.spec.max_code())};
  return true;
}

class Planner {
 public:
  Planner(const Graph& graph, const std::vector<bool>& is_constant, bool fuse)
      : graph_(graph),
        is_constant_(is_constant),
        fuse_(fuse),
        stored_(is_constant),
        done_(graph.nodes().size(), false) {
    for (const ValueId id : graph.inputs()) stored_[index_of(id)] = true;
  }

  std::vector<Step> plan() {
    std::vector<Step> steps;
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      if (done_[i] || is_constant_[index_of(graph_.nodes()[i].out)]) continue;
      steps.push_back(step_from(static_cast<int>(i)));
      stored_[index_of(steps.back().out)] = true;
    }
    return steps;
  }

 private:
  Step step_from(int head) {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(head)];
    Step step{.head = head, .out = node.out};
    int place = at_before;
    if (is_convolution(node)) {
      step.kind = Step::Kind::convolution;
    } else if (absorb(node, node.in[0], step, place)) {
      step.kind = Step::Kind::sweep;
      step.in = node.in[0];
    } else {
      return step;
    }
    while (fuse_ && step.out != graph_.output()) {
      const std::vector<int> readers = graph_.consumers(step.out);
      if (readers.size() != 1) break;
      const auto next = static_cast<std::size_t>(readers[0]);
      if (!absorb(graph_.nodes()[next], step.out, step, place)) break;
      done_[next] = true;
    }
    return step;
  }

  bool is_convolution(const Node& node) const {
    if (node.in.size() > 2 && !is_constant_[index_of(node.in[2])]) return false;
    if (node.in.size() < 2 || !is_constant_[index_of(node.in[1])] || is_constant_[index_of(node.in[0])]) return false;
    if (std::holds_alternative<Linear>(node.op)) return true;
    const auto* conv = std::get_if<Conv2d>(&node.op);
    return conv != nullptr && FloatConv::supports(conv_geometry(*conv, graph_.shape(node.in[0]),
                                                                graph_.shape(node.in[1]), graph_.shape(node.out)));
  }

  /// Lets the step do `node`, which reads `from`, if the epilogue has room for it.
  bool absorb(const Node& node, ValueId from, Step& step, int& place) const {
    simd::Epilogue& e = step.epilogue;
    if (const FakeQuant* quant = fixed_quantizer(node.op)) {
      if (place > at_after || !to_grid(*quant, place == at_before ? e.before : e.after)) return false;
      (place == at_before ? e.quantize_before : e.quantize_after) = true;
      place = place == at_before ? at_residual : full;
    } else if (is_clamp(node.op)) {
      if (place > at_clamp) return false;
      const Limits<float> limits = limits_of<float>(&node.op);
      e.clamp = true;
      e.clamp_lo = limits.lo;
      e.clamp_hi = limits.hi;
      place = at_after;
    } else if (std::holds_alternative<Add>(node.op)) {
      const ValueId other = node.in[0] == from ? node.in[1] : node.in[0];
      if (place > at_residual || !can_add(from, other)) return false;
      step.residual = other;
      place = at_clamp;
    } else {
      return false;
    }
    step.out = node.out;
    return true;
  }

  /// Both of one shape, and the other one there before the step runs. Constants have no batch extent.
  bool can_add(ValueId from, ValueId other) const {
    return from != other && stored_[index_of(other)] && !is_constant_[index_of(other)] &&
           !is_constant_[index_of(from)] && graph_.shape(from) == graph_.shape(other);
  }

  const Graph& graph_;
  const std::vector<bool>& is_constant_;
  bool fuse_;
  std::vector<bool> stored_;  // by value
  std::vector<bool> done_;    // by node: part of a step already
};

}  // namespace

std::vector<Step> plan_steps(const Graph& graph, const std::vector<bool>& is_constant, bool fuse) {
  return Planner(graph, is_constant, fuse).plan();
}

std::vector<Step> plain_steps(const Graph& graph, const std::vector<bool>& is_constant) {
  std::vector<Step> steps;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const ValueId out = graph.nodes()[i].out;
    if (!is_constant[index_of(out)]) steps.push_back({.head = static_cast<int>(i), .out = out});
  }
  return steps;
}

}  // namespace binade
