// Gemm, MatMul and the normalisations: matrices to {out, 1, 1, in}, columns in the order of our channels.
#include <algorithm>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// A stored matrix as {out, 1, 1, in} with its columns in the order in which `x` holds them.
/// `rows_are_outputs`: the file has [out, in], else [in, out].
Tensor<float> linear_weight(const NodeView& node, const Constant& matrix, bool rows_are_outputs, double factor,
                            const Activation& x) {
  const std::int64_t out = matrix.dims[rows_are_outputs ? 0 : 1], in = matrix.dims[rows_are_outputs ? 1 : 0];
  const int channels = node.graph().shape(x.id).c;
  if (in != channels || out < 1 || out > kMaxExtent) {
    throw Misfit(fmt::format("its weight '{}' {} wants {} inputs, there are {}", node.input_name(1),
                             to_string(matrix.dims), in, channels));
  }
  const std::vector<float> elements = to_reals(matrix);
  node.importer().spend(matrix.count());
  Tensor<float> weight(Shape{static_cast<int>(out), 1, 1, static_cast<int>(in)});
  for (std::int64_t i = 0; i < in; ++i) {
    const std::int64_t to = physical_channel(x.flattened, i);
    for (std::int64_t o = 0; o < out; ++o) {
      const float element = elements[static_cast<std::size_t>(rows_are_outputs ? o * in + i : i * out + o)];
      weight[o * in + to] = factor == 1 ? element : static_cast<float>(factor * static_cast<double>(element));
    }
  }
  return weight;
}

/// An input whose last axis is the channels: a row or a column of a tensor with one channel becomes its channels.
/// @throws Misfit if it is neither
Activation features_last(const NodeView& node, int input) {
  Activation x = node.activation(input);
  const Shape& shape = node.graph().shape(x.id);
  const bool flat = x.axes.size() == 2 && x.axes[0] == Axis::n && shape.c == 1;
  const int features = flat ? extent(shape, x.axes[1]) : 0;
  if (flat && x.axes[1] != Axis::c && shape.count() == features) {
    x.id = node.add(Reshape{.h = 1, .w = 1, .c = features}, {x.id}, ".features");
    x.axes[1] = Axis::c;
  }
  if (x.axes.empty() || x.axes.back() != Axis::c) {
    throw Misfit(fmt::format("its input '{}' has the axes {}; the last one must be the channels",
                             node.input_name(input), to_string(x.axes)));
  }
  return x;
}

/// The activation of a matrix product: its last axis must be the channels.
Activation matrix_input(const NodeView& node) {
  if (node.is_constant(0)) {
    throw DataError(fmt::format("its first operand '{}' is a constant; only activation times constant is supported",
                                node.input_name(0)));
  }
  return features_last(node, 0);
}

const Constant& matrix_constant(const NodeView& node) {
  const Constant& matrix = node.constant(1, "weight");
  if (matrix.dims.size() != 2) {
    throw DataError(
        fmt::format("its weight '{}' has the extents {}, want a matrix", node.input_name(1), to_string(matrix.dims)));
  }
  return matrix;
}

void import_gemm(const NodeView& node) {
  Activation x = matrix_input(node);
  const Shape shape = node.graph().shape(x.id);
  if (shape.h != 1 || shape.w != 1) throw Misfit("its input is not flat: Gemm wants [batch, features]");
  if (node.integer("transA", 0) != 0) throw DataError("transA = 1 multiplies across the batch");
  const double alpha = node.real("alpha", 1), beta = node.real("beta", 1);
  const bool rows_are_outputs = node.integer("transB", 0) != 0;
  const Constant& matrix = matrix_constant(node);
  Tensor<float> weight = linear_weight(node, matrix, rows_are_outputs, alpha, x);
  const int out = weight.shape().n;
  std::vector<ValueId> in{x.id, node.parameter(1, ".weight", std::move(weight))};
  if (node.has_input(2) && beta != 0) {
    const Constant& stored = node.constant(2, "bias");
    if (stored.count() != out && stored.count() != 1) {
      throw DataError(
          fmt::format("its bias '{}' has the extents {}, want [{}]", node.input_name(2), to_string(stored.dims), out));
    }
    const std::vector<float> elements = to_reals(stored);
    Tensor<float> bias(channel_shape(out));
    for (int o = 0; o < out; ++o) {
      bias[o] = static_cast<float>(
          beta * static_cast<double>(elements[elements.size() == 1 ? 0 : static_cast<std::size_t>(o)]));
    }
    in.push_back(node.parameter(2, ".bias", std::move(bias)));
  }
  const ValueId y = node.add(Linear{}, std::move(in));
  x.flattened.clear();
  node.result(y, x);
}

/// W x for features in rows, one column per image: the same as x^T W^T, columns and rows exchanged.
void import_matmul_from_left(const NodeView& node) {
  const Constant& matrix = node.constant(0, "weight");
  Activation x = node.activation(1);
  if (matrix.dims.size() != 2 || x.axes != std::vector{Axis::c, Axis::n}) {
    throw Misfit(
        fmt::format("its first operand '{}' {} is a constant and the second has the axes [{}]; a constant on "
                    "the left wants a transposed matrix of features [c, n]",
                    node.input_name(0), to_string(matrix.dims), to_string(x.axes)));
  }
  Tensor<float> weight = linear_weight(node, matrix, true, 1, x);
  x.id = node.add(Linear{}, {x.id, node.parameter(0, ".weight", std::move(weight))});
  x.flattened.clear();
  node.result(0, x);
}

void import_matmul(const NodeView& node) {
  if (node.is_constant(0) && !node.is_constant(1)) return import_matmul_from_left(node);
  Activation x = matrix_input(node);
  const Constant& matrix = matrix_constant(node);
  Tensor<float> weight = linear_weight(node, matrix, false, 1, x);
  const ValueId y = node.add(Linear{}, {x.id, node.parameter(1, ".weight", std::move(weight))});
  x.flattened.clear();
  node.result(y, x);
}

double read_epsilon(const NodeView& node) {
  const double epsilon = node.real("epsilon", 1e-5);
  if (!(epsilon >= 0 && epsilon < 1e6))
    throw DataError(fmt::format("epsilon is {}, want a small number >= 0", epsilon));
  return epsilon;
}

void import_batch_norm(const NodeView& node) {
  const Activation x = node.activation(0);
  if (x.axes.size() < 2 || x.axes[1] != Axis::c) {
    throw Misfit(fmt::format("its input '{}' has the axes {}; axis 1 must be the channels", node.input_name(0),
                             to_string(x.axes)));
  }
  if (node.integer("training_mode", 0) != 0) {
    throw DataError("it is in training mode (statistics of the batch); export the model after model.eval()");
  }
  if (node.integer("spatial", 1) != 1)
    throw DataError("attribute 'spatial' is 0; statistics per pixel are not supported");
  const double epsilon = read_epsilon(node), momentum = node.real("momentum", 0.9);
  std::vector<ValueId> in{x.id, node.channel_parameter(1, "scale", x), node.channel_parameter(2, "bias", x),
                          node.channel_parameter(3, "mean", x), node.channel_parameter(4, "variance", x)};
  const auto variance = node.graph().tensor(in[4]).span();
  const float lowest = *std::min_element(variance.begin(), variance.end());
  if (!(static_cast<double>(lowest) + epsilon > 0)) {
    throw DataError(fmt::format("its variance '{}' has the element {}; variance + epsilon must be positive",
                                node.input_name(4), lowest));
  }
  // ONNX keeps `momentum` of the old statistics, we take `momentum` of the new ones.
  node.result(node.add(BatchNorm{.epsilon = epsilon, .momentum = 1 - std::clamp(momentum, 0.0, 1.0)}, std::move(in)),
              x);
}

void import_layer_norm(const NodeView& node) {
  const Activation x = node.activation(0);
  std::int64_t axis = node.integer("axis", -1);
  if (axis < 0) axis += static_cast<std::int64_t>(x.axes.size());
  if (axis != static_cast<std::int64_t>(x.axes.size()) - 1 || x.axes.back() != Axis::c) {
    throw Misfit(fmt::format("it normalises from axis {} of [{}]; only the channels, as the last axis, are supported",
                             axis, to_string(x.axes)));
  }
  const int channels = node.graph().shape(x.id).c;
  const ValueId scale = node.channel_parameter(1, "scale", x);
  const ValueId bias = node.has_input(2)
                           ? node.channel_parameter(2, "bias", x)
                           : node.importer().parameter(node.name() + ".bias", Tensor<float>(channel_shape(channels)));
  node.result(node.add(LayerNorm{.epsilon = read_epsilon(node)}, {x.id, scale, bias}), x);
}

}  // namespace

std::span<const HandlerEntry> matrix_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Gemm", import_gemm},
                                            {"MatMul", import_matmul},
                                            {"BatchNormalization", import_batch_norm},
                                            {"LayerNormalization", import_layer_norm}};
  return kTable;
}

}  // namespace binade::importer
