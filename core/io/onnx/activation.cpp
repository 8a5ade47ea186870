// Pointwise non-linearities and softmax.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"
#include "core/ops/words.hpp"

namespace binade::importer {
namespace {

constexpr double kUnbounded = std::numeric_limits<float>::max();  // what ONNX itself means by "no bound"

void import_relu(const NodeView& node) {
  node.unary(Relu{});
}

/// A bound given as a constant of one element; infinities become the largest float.
double read_bound(const NodeView& node, int input, std::string_view what, double fallback) {
  if (!node.has_input(input)) return fallback;
  const std::vector<float> values = to_reals(node.constant(input, what));
  if (values.size() != 1) throw DataError(fmt::format("its {} has {} elements, want one", what, values.size()));
  if (std::isnan(values[0])) throw DataError(fmt::format("its {} '{}' is NaN", what, node.input_name(input)));
  return std::clamp(static_cast<double>(values[0]), -kUnbounded, kUnbounded);
}

void add_clip(const NodeView& node, double lo, double hi) {
  if (lo > hi) throw DataError(fmt::format("its lower bound {} is above its upper bound {}", lo, hi));
  if (lo <= -kUnbounded && hi >= kUnbounded) return node.alias();
  if (lo == 0 && hi >= kUnbounded) return node.unary(Relu{});
  node.unary(Clip{.lo = lo, .hi = hi});
}

void import_clip(const NodeView& node) {
  const double lo = std::clamp(node.real("min", -kUnbounded), -kUnbounded, kUnbounded);
  const double hi = std::clamp(node.real("max", kUnbounded), -kUnbounded, kUnbounded);
  add_clip(node, read_bound(node, 1, "minimum", lo), read_bound(node, 2, "maximum", hi));
}

/// Min and Max of an activation and a scalar: half a clip.
void import_min_max(const NodeView& node) {
  if (node.inputs() != 2 || (node.is_constant(0) == node.is_constant(1))) {
    throw DataError("only an activation with one constant is supported");
  }
  const int constant = node.is_constant(0) ? 0 : 1;
  const double bound = read_bound(node, constant, "bound", 0);
  const Activation x = node.activation(1 - constant);
  const bool is_max = node.op() == "Max";
  if (is_max && bound == 0) return node.result(node.add(Relu{}, {x.id}), x);
  node.result(node.add(Clip{.lo = is_max ? bound : -kUnbounded, .hi = is_max ? kUnbounded : bound}, {x.id}), x);
}

double finite_real(const NodeView& node, std::string_view name, double fallback) {
  const double value = node.real(name, fallback);
  if (!std::isfinite(value)) throw DataError(fmt::format("attribute '{}' is not finite", name));
  return value;
}

void import_leaky_relu(const NodeView& node) {
  node.unary(LeakyRelu{.slope = finite_real(node, "alpha", 0.01)});
}

void import_hard_sigmoid(const NodeView& node) {
  double alpha = finite_real(node, "alpha", 0.2);
  // The attribute is a float: meant as 1/6, it must not differ from our own by a rounding.
  if (static_cast<float>(alpha) == static_cast<float>(1.0 / 6)) alpha = 1.0 / 6;
  node.unary(HardSigmoid{.alpha = alpha, .beta = finite_real(node, "beta", 0.5)});
}

void import_prelu(const NodeView& node) {
  const Activation x = node.activation(0);
  Tensor<float> slope = broadcast_tensor(node, node.constant(1, "slope"), x);
  if (slope.shape().h != 1 || slope.shape().w != 1) {
    throw DataError(fmt::format("its slope '{}' differs by pixel; one per channel is supported", node.input_name(1)));
  }
  node.result(node.add(PRelu{}, {x.id, node.parameter(1, ".slope", std::move(slope))}), x);
}

/// Softmax over all elements of an image, in whichever order.
void softmax_of_image(const NodeView& node, const Activation& x) {
  const Shape shape = node.graph().shape(x.id);
  const auto elements = static_cast<int>(shape.count());
  const ValueId flat = node.add(Reshape{.h = 1, .w = 1, .c = elements}, {x.id}, ".flat");
  const ValueId probabilities = node.add(Softmax{}, {flat}, ".probabilities");
  node.result(node.add(Reshape{.h = shape.h, .w = shape.w, .c = shape.c}, {probabilities}), x);
}

void import_softmax(const NodeView& node) {
  const Activation x = node.activation(0);
  const auto rank = static_cast<std::int64_t>(x.axes.size());
  std::int64_t axis = node.integer("axis", node.opset() >= 13 ? -1 : 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) throw Misfit(fmt::format("axis {} is outside its input [{}]", axis, to_string(x.axes)));
  const Shape& shape = node.graph().shape(x.id);
  // Before opset 13 all axes from `axis` on are one; that is the same where the others have extent 1.
  bool channels_only = x.axes[static_cast<std::size_t>(axis)] == Axis::c;
  if (node.opset() < 13) {
    bool reads_channels = shape.c == 1;
    bool others_are_one = true;
    for (auto i = static_cast<std::size_t>(axis); i < x.axes.size(); ++i) {
      if (x.axes[i] == Axis::c)
        reads_channels = true;
      else
        others_are_one = others_are_one && x.axes[i] != Axis::n && extent(shape, x.axes[i]) == 1;
    }
    channels_only = reads_channels && others_are_one;
    const bool whole_image = axis == 1 && x.axes[0] == Axis::n;
    if (!channels_only && whole_image) return softmax_of_image(node, x);
  }
  if (!channels_only)
    throw Misfit(
        fmt::format("it runs over axis {} of [{}]; only over the channels is supported", axis, to_string(x.axes)));
  node.unary(Softmax{});
}

void import_identity(const NodeView& node) {
  node.alias();
}

/// Identity in inference. Dropout of opset 12 and later has its mask as a second output, which nothing may read.
void import_dropout(const NodeView& node) {
  if (node.has_input(2)) {
    const std::vector<float> training = to_reals(node.constant(2, "training_mode"));
    if (training.size() != 1 || training[0] != 0) {
      throw DataError("it is in training mode (elements are dropped); export the model after model.eval()");
    }
  }
  node.alias();
}

/// LogSoftmax and ArgMax keep the order of the classes: the network ends before them, and its output are the logits.
void import_ending(const NodeView& node) {
  const Activation x = node.activation(0);
  const std::size_t axis = resolve_axis(node.integer("axis", node.op() == "ArgMax" ? 0
                                                             : node.opset() >= 13  ? -1
                                                                                   : 1),
                                        x);
  if (x.axes[axis] != Axis::c) {
    throw Misfit(
        fmt::format("it runs over axis {} of [{}]; only over the channels is supported", axis, to_string(x.axes)));
  }
  node.ending();
}

void import_cast(const NodeView& node) {
  using Type = ::onnx::TensorProto;
  const std::int64_t to = node.integer("to", Type::FLOAT);
  if (to != Type::FLOAT && to != Type::DOUBLE && to != Type::FLOAT16 && to != Type::BFLOAT16) {
    throw DataError("it converts activations to an integer type; Binade computes a float network");
  }
  node.alias();
}

/// A function of one number: its fields are attributes, with our own defaults.
template <class O>
void import_function(const NodeView& node) {
  O op;
  const auto read = [&](std::string_view name, auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_enum_v<Value>) {
      const std::string text = node.text(name, std::string(word_of(value)));
      const auto known = words(value);
      const auto at = std::find(known.begin(), known.end(), text);
      if (at == known.end()) throw DataError(fmt::format("its {} is '{}', which is unknown", name, text));
      value = static_cast<Value>(at - known.begin());
    } else {
      value = finite_real(node, name, value);
    }
  };
  std::apply([&](const auto&... field) { (read(field.name, op.*field.member), ...); }, O::fields);
  node.unary(op);
}

/// The rows of all functions, except those whose defaults differ in ONNX.
template <class... O>
std::vector<HandlerEntry> function_rows(const std::variant<O...>*) {
  std::vector<HandlerEntry> rows;
  const auto take = [&]<class F>(const F*) {
    if constexpr (F::traits.role == Role::function && !std::is_same_v<F, HardSigmoid>) {
      if (!F::traits.onnx.empty()) rows.push_back({F::traits.onnx, import_function<F>});
    }
  };
  (take(static_cast<const O*>(nullptr)), ...);
  return rows;
}

}  // namespace

std::span<const HandlerEntry> function_handlers() {
  static const std::vector<HandlerEntry> rows = function_rows(static_cast<const Op*>(nullptr));
  return rows;
}

std::span<const HandlerEntry> activation_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Relu", import_relu},         {"HardSigmoid", import_hard_sigmoid},
                                            {"Clip", import_clip},         {"Min", import_min_max},
                                            {"Max", import_min_max},       {"LeakyRelu", import_leaky_relu},
                                            {"PRelu", import_prelu},       {"Softmax", import_softmax},
                                            {"Identity", import_identity}, {"Dropout", import_dropout},
                                            {"LogSoftmax", import_ending}, {"ArgMax", import_ending},
                                            {"Cast", import_cast}};
  return kTable;
}

}  // namespace binade::importer
