// What each op is in ONNX.
#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/onnx/exporter.hpp"
#include "core/ops/words.hpp"
#include "core/passes/layers.hpp"

namespace binade::exporter {
namespace {

/// Strides, pads and the like of anything with a window.
template <class Op>
void set_window(NodeWriter& writer, const Op& op) {
  writer.set("strides", Dims{op.stride_h, op.stride_w});
  writer.set("pads", Dims{op.pad_top, op.pad_left, op.pad_bottom, op.pad_right});
}

template <class Op>
void set_convolution(NodeWriter& writer, const Op& op, const Shape& kernel) {
  writer.set("kernel_shape", Dims{kernel.h, kernel.w});
  set_window(writer, op);
  writer.set("dilations", Dims{op.dilation_h, op.dilation_w});
  writer.set("group", op.groups);
}

/// An op of one activation, whose layout it keeps.
NodeWriter unary(Exporter& to, const Node& node, std::string_view op, const std::vector<std::string>& more = {}) {
  const bool flat = to.is_flat(node.in[0]);
  std::vector<std::string> in{flat ? to.flat(node.in[0]) : to.image(node.in[0])};
  in.insert(in.end(), more.begin(), more.end());
  return to.add(node, op, in, flat);
}

/// An op of several activations or parameters.
NodeWriter joined(Exporter& to, const Node& node, std::string_view op) {
  const bool flat = std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return to.is_flat(id); });
  std::vector<std::string> in;
  for (const ValueId id : node.in) in.push_back(flat ? to.flat(id) : to.image(id));
  return to.add(node, op, in, flat);
}

void emit(Exporter& to, const Node& node, const Conv2d& op) {
  std::vector<std::string> in{to.image(node.in[0]), to.kernel(node.in[1])};
  if (node.in.size() > 2) in.push_back(to.bias(node));
  NodeWriter writer = to.add(node, "Conv", in, false);
  set_convolution(writer, op, to.graph().shape(node.in[1]));
}

void emit(Exporter& to, const Node& node, const ConvTranspose2d& op) {
  std::vector<std::string> in{to.image(node.in[0]), to.transposed_kernel(node.in[1], op.groups)};
  if (node.in.size() > 2) in.push_back(to.bias(node));
  NodeWriter writer = to.add(node, "ConvTranspose", in, false);
  set_convolution(writer, op, to.graph().shape(node.in[1]));
  writer.set("output_padding", Dims{op.output_pad_h, op.output_pad_w});
}

/// Gemm without pixels, else a 1x1 convolution.
void emit(Exporter& to, const Node& node, const Linear&) {
  const bool flat = to.can_be_flat(node.in[0]);
  std::vector<std::string> in{flat ? to.flat(node.in[0]) : to.image(node.in[0]),
                              flat ? to.matrix(node.in[1]) : to.kernel(node.in[1])};
  if (node.in.size() > 2) in.push_back(to.bias(node));
  NodeWriter writer = to.add(node, flat ? "Gemm" : "Conv", in, flat);
  if (flat) writer.set("transB", 1);
}

void emit(Exporter& to, const Node& node, const BatchNorm& op) {
  std::vector<std::string> parameters;
  for (std::size_t i = 1; i < 5; ++i) parameters.push_back(to.vector(node.in[i]));
  // ONNX's momentum is the part that is kept.
  unary(to, node, "BatchNormalization", parameters).set("epsilon", op.epsilon).set("momentum", 1 - op.momentum);
}

void emit(Exporter& to, const Node& node, const Relu&) {
  unary(to, node, "Relu");
}

void emit(Exporter& to, const Node& node, const Clip& op) {
  const std::string lo = to.reals(node.name + ".min", {}, {static_cast<float>(op.lo)});
  const std::string hi = to.reals(node.name + ".max", {}, {static_cast<float>(op.hi)});
  unary(to, node, "Clip", {lo, hi});
}

void emit(Exporter& to, const Node& node, const LeakyRelu& op) {
  unary(to, node, "LeakyRelu").set("alpha", op.effective_slope());
}

void emit(Exporter& to, const Node& node, const PRelu&) {
  to.add(node, "PRelu", {to.image(node.in[0]), to.image(node.in[1])}, false);
}

/// A function of one number: its attributes are its fields.
template <class Op>
requires(Op::traits.role == Role::function && !Op::traits.onnx.empty()) void emit(Exporter& to, const Node& node,
                                                                                  const Op& op) {
  to.want_opset(Op::traits.onnx_opset);
  NodeWriter writer = unary(to, node, Op::traits.onnx);
  const auto set = [&](std::string_view name, const auto& value) {
    if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(value)>>) {
      writer.set(name, word_of(value));
    } else {
      writer.set(name, value);
    }
  };
  std::apply([&](const auto&... field) { (set(field.name, op.*field.member), ...); }, Op::fields);
}

void emit(Exporter& to, const Node& node, const Softmax&) {
  unary(to, node, "Softmax").set("axis", 1);
}

void emit(Exporter& to, const Node& node, const Add&) {
  joined(to, node, "Add");
}

void emit(Exporter& to, const Node& node, const Mul&) {
  joined(to, node, "Mul");
}

void emit(Exporter& to, const Node& node, const Concat&) {
  joined(to, node, "Concat").set("axis", 1);
}

void emit(Exporter& to, const Node& node, const Slice& op) {
  const auto constant = [&](const char* suffix, std::int64_t value) {
    return to.integers(node.name + suffix, {value});
  };
  const std::int64_t axis = op.axis == 3 ? 1 : op.axis + 1;
  to.add(node, "Slice",
         {to.image(node.in[0]), constant(".starts", op.begin), constant(".ends", op.end), constant(".axes", axis),
          constant(".steps", op.step)},
         false);
}

void emit(Exporter& to, const Node& node, const Pad& op) {
  const std::string pads = to.integers(
      node.name + ".pads", {0, op.channels_before, op.top, op.left, 0, op.channels_after, op.bottom, op.right});
  const std::string value = to.reals(node.name + ".value", {}, {static_cast<float>(op.value)});
  to.add(node, "Pad", {to.image(node.in[0]), pads, value}, false).set("mode", "constant");
}

void emit(Exporter& to, const Node& node, const MaxPool& op) {
  NodeWriter writer = to.add(node, "MaxPool", {to.image(node.in[0])}, false);
  set_window(writer.set("kernel_shape", Dims{op.kernel_h, op.kernel_w}), op);
  writer.set("ceil_mode", op.ceil_mode ? 1 : 0);
}

void emit(Exporter& to, const Node& node, const AvgPool& op) {
  NodeWriter writer = to.add(node, "AveragePool", {to.image(node.in[0])}, false);
  set_window(writer.set("kernel_shape", Dims{op.kernel_h, op.kernel_w}), op);
  writer.set("ceil_mode", op.ceil_mode ? 1 : 0).set("count_include_pad", op.count_include_pad ? 1 : 0);
}

void emit(Exporter& to, const Node& node, const GlobalAvgPool&) {
  to.add(node, "GlobalAveragePool", {to.image(node.in[0])}, false);
}

void emit(Exporter& to, const Node& node, const Resize& op) {
  if (op.weight_bits > 0 && to.form() == QuantizerForm::none) {
    throw DataError("its weights are rounded as in integers; want a float network");
  }
  const Shape& in = to.graph().shape(node.in[0]);
  const bool whole = op.height % in.h == 0 && op.width % in.w == 0;
  std::vector<std::string> inputs{to.image(node.in[0]), ""};
  if (whole) {
    inputs.push_back(to.reals(node.name + ".scales", {4},
                              {1, 1, static_cast<float>(op.height / in.h), static_cast<float>(op.width / in.w)}));
  } else {
    to.want_opset(18);  // extents of some axes only, so that the batch stays open
    inputs.insert(inputs.end(), {"", to.integers(node.name + ".sizes", {op.height, op.width})});
  }
  NodeWriter writer = to.add(node, "Resize", inputs, false);
  if (!whole) writer.set("axes", Dims{2, 3});
  writer.set("coordinate_transformation_mode", word_of(op.coordinates));
  const bool nearest = op.interpolation == Interpolation::nearest;
  writer.set("mode", nearest ? "nearest" : "linear");
  if (nearest) writer.set("nearest_mode", op.coordinates == Coordinates::asymmetric ? "floor" : "round_prefer_floor");
}

/// Elements keep our order, in which the channels of a pixel are neighbours.
void emit(Exporter& to, const Node& node, const Reshape&) {
  const Shape& out = to.graph().shape(node.out);
  const bool flat = out.h == 1 && out.w == 1;
  if (flat && to.can_be_flat(node.in[0])) return to.alias(node);
  std::string pixels_first;
  to.add_helper(node.name + ".nhwc", "Transpose", {to.image(node.in[0])}, pixels_first).set("perm", Dims{0, 2, 3, 1});
  if (flat) {
    to.add(node, "Flatten", {pixels_first}, true).set("axis", 1);
    return;
  }
  std::string reshaped;
  to.add_helper(node.name + ".reshaped", "Reshape",
                {pixels_first, to.integers(node.name + ".shape", {0, out.h, out.w, out.c})}, reshaped);
  to.add(node, "Transpose", {reshaped}, false).set("perm", Dims{0, 3, 1, 2});
}

void emit(Exporter& to, const Node& node, const Dropout&) {
  to.alias(node);
}

/// The ends of the range [-2^k, 2^k] or [0, 2^k]: what TI's importer reads as a tensor's range.
void emit_clip(Exporter& to, const Node& node, const FakeQuant& op) {
  const double end = std::ldexp(1.0, op.spec.exponent());
  const std::string lo = to.reals(node.name + ".min", {}, {static_cast<float>(op.spec.is_signed ? -end : 0)});
  const std::string hi = to.reals(node.name + ".max", {}, {static_cast<float>(end)});
  unary(to, node, "Clip", {lo, hi});
}

void emit(Exporter& to, const Node& node, const FakeQuant& op) {
  if (to.form() == QuantizerForm::none) throw DataError("it is a quantizer; plain ONNX is for float networks");
  if (to.is_constant(node.out)) return;  // its readers write it
  if (to.form() == QuantizerForm::clip) return emit_clip(to, node, op);
  to.add_quantizer(node, op.spec);
}

/// Everything else.
template <class Op>
requires(Op::traits.role != Role::function || Op::traits.onnx.empty()) void emit(Exporter&, const Node&, const Op&) {
  throw DataError(Op::traits.role == Role::quantizer
                      ? "it is a quantizer that learns; export the network that training has finished"
                      : "the operator has no form in a plain float file");
}

}  // namespace

void export_node(Exporter& to, const Node& node) {
  const bool qdq = to.form() == QuantizerForm::qdq;
  if (qdq && is_done_by_quantizer(to.graph(), node)) return to.alias(node);
  std::visit([&](const auto& op) { emit(to, node, op); }, node.op);
  if (!qdq || !keeps_grid(node)) return;
  const std::optional<QuantSpec> spec = spec_of(to.graph(), node.out);
  if (spec) to.keep_grid(node, *spec);
}

}  // namespace binade::exporter
