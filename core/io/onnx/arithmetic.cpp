// Add, Sub, Mul, Div, Sum and Neg. Constants become parameters; there is no division at run time.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// Two activations that may meet in a pointwise op: same meaning of every axis that has an extent.
Activation common_layout(const NodeView& node, const Activation& a, const Activation& b) {
  const auto refuse = [&](const std::string& why) -> Activation {
    throw Misfit(fmt::format("its operands do not fit: [{}] of {} and [{}] of {} (NHWC){}", to_string(a.axes),
                             binade::to_string(node.graph().shape(a.id)), to_string(b.axes),
                             binade::to_string(node.graph().shape(b.id)), why));
  };
  if (a.axes.size() != b.axes.size()) refuse("");
  const Shape& sa = node.graph().shape(a.id);
  const Shape& sb = node.graph().shape(b.id);
  for (std::size_t i = 0; i < a.axes.size(); ++i) {
    // A renamed axis is harmless only where both extents are 1.
    if (a.axes[i] != b.axes[i] && (extent(sa, a.axes[i]) != 1 || extent(sb, b.axes[i]) != 1)) refuse("");
  }
  if (a.flattened != b.flattened && sa.c != 1 && sb.c != 1) refuse(", flattened in different orders");
  return sa.c != 1 ? a : b;
}

/// A constant operand as a parameter, transformed; `suffix` marks a transformed one.
ValueId constant_operand(const NodeView& node, int input, const Activation& like, std::string_view suffix,
                         float (*transform)(float)) {
  Tensor<float> tensor = broadcast_tensor(node, node.constant(input, "constant operand"), like);
  if (transform == nullptr) return node.parameter(input, ".constant", std::move(tensor));
  for (float& v : tensor.span()) v = transform(v);
  const std::string base =
      node.importer().is_initializer(node.input_name(input)) ? node.input_name(input) : node.name();
  return node.importer().parameter(base + std::string(suffix), std::move(tensor));
}

ValueId scalar(const NodeView& node, std::string_view suffix, float value) {
  return node.importer().parameter(node.name() + std::string(suffix), Tensor<float>(channel_shape(1), value));
}

/// Adds or multiplies: op(a, b) with at most one constant.
template <class Pointwise>
void import_commutative(const NodeView& node) {
  if (node.inputs() != 2) throw DataError(fmt::format("it has {} inputs, want 2", node.inputs()));
  if (node.is_constant(0) || node.is_constant(1)) {
    const int constant = node.is_constant(0) ? 0 : 1;
    const Activation x = node.activation(1 - constant);
    const ValueId operand = constant_operand(node, constant, x, "", nullptr);
    return node.result(node.add(Pointwise{}, {x.id, operand}), x);
  }
  const Activation a = node.activation(0), b = node.activation(1);
  const Activation layout = common_layout(node, a, b);
  node.result(node.add(Pointwise{}, {a.id, b.id}), layout);
}

float negate(float v) {
  return -v;
}
float invert(float v) {
  return 1 / v;
}

void import_sub(const NodeView& node) {
  if (node.is_constant(1)) {
    const Activation x = node.activation(0);
    return node.result(node.add(Add{}, {x.id, constant_operand(node, 1, x, ".negated", negate)}), x);
  }
  const Activation b = node.activation(1);
  const ValueId minus_b = node.add(Mul{}, {b.id, scalar(node, ".minus_one", -1)}, ".negated");
  if (node.is_constant(0)) {
    return node.result(node.add(Add{}, {minus_b, constant_operand(node, 0, b, "", nullptr)}), b);
  }
  const Activation a = node.activation(0);
  const Activation layout = common_layout(node, a, b);
  node.result(node.add(Add{}, {a.id, minus_b}), layout);
}

void import_div(const NodeView& node) {
  if (!node.is_constant(1)) throw DataError("it divides by an activation; only division by a constant is supported");
  const std::vector<float> divisor = to_reals(node.constant(1, "divisor"));
  if (std::find(divisor.begin(), divisor.end(), 0.0f) != divisor.end()) {
    throw DataError(fmt::format("its divisor '{}' holds a zero", node.input_name(1)));
  }
  const Activation x = node.activation(0);
  node.result(node.add(Mul{}, {x.id, constant_operand(node, 1, x, ".reciprocal", invert)}), x);
}

void import_neg(const NodeView& node) {
  const Activation x = node.activation(0);
  node.result(node.add(Mul{}, {x.id, scalar(node, ".minus_one", -1)}), x);
}

void import_sum(const NodeView& node) {
  Activation sum = node.activation(0);
  for (int i = 1; i < node.inputs(); ++i) {
    const Activation next = node.activation(i);
    const Activation layout = common_layout(node, sum, next);
    const std::string suffix = i + 1 == node.inputs() ? "" : fmt::format(".partial{}", i);
    const ValueId id = node.add(Add{}, {sum.id, next.id}, suffix);
    sum = layout;
    sum.id = id;
  }
  node.result(0, sum);
}

}  // namespace

std::span<const HandlerEntry> arithmetic_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Add", import_commutative<Add>},
                                            {"Mul", import_commutative<Mul>},
                                            {"Sub", import_sub},
                                            {"Div", import_div},
                                            {"Neg", import_neg},
                                            {"Sum", import_sum}};
  return kTable;
}

}  // namespace binade::importer
