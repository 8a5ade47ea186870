// The input: which one it is, its layout and its extents.
#include <algorithm>

#include <fmt/format.h>

#include "core/io/onnx/ends.hpp"
#include "core/io/onnx/proto.hpp"

namespace binade::importer {

std::string text_of(const ::onnx::TensorShapeProto& shape) {
  std::string text = "[";
  for (const auto& dim : shape.dim()) {
    if (text.size() > 1) text += ", ";
    text += dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param().empty() ? "?" : dim.dim_param();
  }
  return text + "]";
}

namespace {

/// The single input that is not an initializer.
const ::onnx::ValueInfoProto& find_input(const Importer& importer) {
  std::vector<const ::onnx::ValueInfoProto*> inputs;
  std::string names;
  for (const auto& input : importer.proto().input()) {
    if (importer.is_initializer(input.name())) continue;
    inputs.push_back(&input);
    names += (names.empty() ? "'" : ", '") + input.name() + "'";
  }
  if (inputs.empty()) throw DataError("the network has no input");
  if (inputs.size() > 1)
    throw DataError(fmt::format("the network has {} inputs ({}); want one, the image", inputs.size(), names));
  return *inputs[0];
}

/// Whether a 4-axis input is [batch, height, width, channels]: what TensorFlow converters keep.
bool is_channels_last(const Importer& importer, const std::string& input, const ::onnx::TensorShapeProto& shape) {
  for (const auto& node : importer.proto().node()) {
    if (node.input_size() == 0 || node.input(0) != input) continue;
    // A layer that reads the input itself takes ONNX's own order; a transposition says what it was before.
    if (node.op_type() == "Conv" || node.op_type().ends_with("Pool") || node.op_type() == "BatchNormalization")
      return false;
    for (const auto& attribute : node.attribute()) {
      const auto is = [&](int i, std::int64_t axis) { return attribute.ints(i) == axis; };
      if (attribute.name() == "perm" && attribute.ints_size() == 4 && is(1, 3) && is(2, 1) && is(3, 2)) return true;
    }
  }
  const auto like_channels = [&](int i) { return shape.dim(i).dim_value() == 1 || shape.dim(i).dim_value() == 3; };
  return like_channels(3) && !like_channels(1);
}

/// The layout of an input of two axes (features), three (channels and width: signals) or four (images).
std::vector<Axis> input_axes(const Importer& importer, const ::onnx::ValueInfoProto& input, bool channels_first) {
  const ::onnx::TensorShapeProto& shape = input.type().tensor_type().shape();
  switch (shape.dim_size()) {
    case 2: return {Axis::n, Axis::c};
    case 3: return kNcw;
    case 4: return !channels_first && is_channels_last(importer, input.name(), shape) ? kNhwc : kNchw;
    default:
      throw DataError(
          fmt::format("its input '{}' has the extents {}; want [batch, channels, height, width], or "
                      "[batch, channels, width] for signals",
                      input.name(), text_of(shape)));
  }
}

/// The extent of an axis: as the file has it, else as the options give it.
std::int64_t input_extent(const ::onnx::ValueInfoProto& input, int position, Axis axis, const ReadOptions& options) {
  const ::onnx::TensorShapeProto& shape = input.type().tensor_type().shape();
  const auto& dim = shape.dim(position);
  if (dim.has_dim_value() && dim.dim_value() >= 1) return dim.dim_value();
  const int given = axis == Axis::h ? options.height : axis == Axis::w ? options.width : 0;
  if (given >= 1) return given;
  throw DataError(fmt::format(
      "its input '{}' has no fixed {}: {}. {}", input.name(), axis == Axis::c ? "number of channels" : "size",
      text_of(shape),
      axis == Axis::c ? "Export the model with it" : "Give the size of the images: --input-size HEIGHTxWIDTH"));
}

}  // namespace

void declare_input(Importer& importer, bool channels_first, const ReadOptions& options) {
  const ::onnx::ValueInfoProto& input = find_input(importer);
  const int type = input.type().tensor_type().elem_type();
  using Type = ::onnx::TensorProto;
  if (!input.type().has_tensor_type() ||
      (type != Type::FLOAT && type != Type::FLOAT16 && type != Type::DOUBLE && type != Type::BFLOAT16)) {
    throw DataError(fmt::format("its input '{}' has elements of {}; want float32", input.name(), type_name(type)));
  }
  const ::onnx::TensorShapeProto& shape = input.type().tensor_type().shape();
  Activation activation{.axes = input_axes(importer, input, channels_first)};
  Shape extents;
  std::int64_t count = 1;
  for (std::size_t i = 1; i < activation.axes.size(); ++i) {
    const std::int64_t size = input_extent(input, static_cast<int>(i), activation.axes[i], options);
    if (size > kMaxExtent || count > kMaxElements / size) {
      throw DataError(fmt::format("its input '{}' has the extents {}, which is absurd", input.name(), text_of(shape)));
    }
    count *= size;
    extent(extents, activation.axes[i]) = static_cast<int>(size);
  }
  if (shape.dim(0).has_dim_value() && shape.dim(0).dim_value() > 0) importer.set_batch(shape.dim(0).dim_value());
  activation.id = importer.graph().input(importer.free_name(input.name()), extents);
  importer.define(input.name(), activation);
}

}  // namespace binade::importer
