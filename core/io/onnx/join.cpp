// Concat: channels of activations, and constants among them.
#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// The blocks of a value's channels, in order: one trivial block if it was never flattened.
void append_blocks(std::vector<Shape>& blocks, const Activation& x, int channels) {
  if (x.flattened.empty()) return blocks.push_back({1, 1, 1, channels});
  blocks.insert(blocks.end(), x.flattened.begin(), x.flattened.end());
}

/// One operand of a Concat: channels [first, first + channels) of the result.
struct Operand {
  int input = 0;
  bool constant = false;
  int first = 0, channels = 0;
};

const Activation& first_activation(const NodeView& node) {
  for (int i = 0; i < node.inputs(); ++i) {
    if (!node.is_constant(i)) return node.activation(i);
  }
  throw DataError("all of its inputs are constants");
}

std::size_t join_axis(const NodeView& node, const Activation& like) {
  const std::size_t axis = resolve_axis(node.integer("axis", 1), like);
  if (like.axes[axis] != Axis::c) {
    throw Misfit(fmt::format("it joins axis {} of [{}]; only channels can be joined", axis, to_string(like.axes)));
  }
  return axis;
}

std::vector<Operand> read_operands(const NodeView& node, const Activation& like, std::size_t axis) {
  std::vector<Operand> operands;
  int first = 0;
  for (int i = 0; i < node.inputs(); ++i) {
    Operand operand{.input = i, .constant = node.is_constant(i), .first = first};
    if (operand.constant) {
      const Constant& stored = node.constant(i, "operand");
      if (stored.dims.size() != like.axes.size()) {
        throw Misfit(fmt::format("its constant '{}' has the extents {}, its other inputs the axes [{}]",
                                 node.input_name(i), to_string(stored.dims), to_string(like.axes)));
      }
      const std::int64_t channels = stored.dims[axis];
      if (channels < 0 || channels > kMaxExtent) throw DataError("its constant has an absurd number of channels");
      operand.channels = static_cast<int>(channels);
    } else {
      const Activation& x = node.activation(i);
      if (x.axes != like.axes) {
        throw Misfit(
            fmt::format("its inputs have different axes, [{}] and [{}]", to_string(like.axes), to_string(x.axes)));
      }
      operand.channels = node.graph().shape(x.id).c;
    }
    first += operand.channels;
    if (operand.channels > 0) operands.push_back(operand);
  }
  return operands;
}

/// The activations, with zeros where the constants will be: constants before an activation become its padding, those
/// after the last one the padding of that.
std::vector<ValueId> padded_activations(const NodeView& node, const std::vector<Operand>& operands) {
  std::vector<ValueId> in;
  int before = 0, left = 0;
  for (const Operand& operand : operands) left += operand.constant ? 0 : 1;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].constant) {
      before += operands[i].channels;
      continue;
    }
    Pad pad{.channels_before = before};
    before = 0;
    --left;
    for (std::size_t k = i + 1; left == 0 && k < operands.size(); ++k) pad.channels_after += operands[k].channels;
    const ValueId x = node.activation(operands[i].input).id;
    in.push_back(pad == Pad{} ? x : node.add(pad, {x}, fmt::format(".padded{}", i)));
    if (left == 0) break;
  }
  return in;
}

/// Constants at their channels, zeros elsewhere; one pixel stands for all where the constants do not differ by pixel.
/// @throws Misfit if a constant's height or width does not fit
Tensor<float> constants_of(const NodeView& node, const std::vector<Operand>& operands, const Activation& like,
                           int channels) {
  const Shape shape = node.graph().shape(like.id);
  std::vector<std::pair<const Operand*, Tensor<float>>> tensors;
  Shape extents{1, 1, 1, channels};
  for (const Operand& operand : operands) {
    if (!operand.constant) continue;
    Activation place = like;  // as if the activation had the constant's channels
    place.flattened.clear();
    Constant stored = node.constant(operand.input, "operand");
    Tensor<float> tensor = axes_tensor(node, stored, place);
    const Shape& s = tensor.shape();
    if ((s.h != 1 && s.h != shape.h) || (s.w != 1 && s.w != shape.w)) {
      throw Misfit(fmt::format("its constant '{}' has {} x {} pixels, its other inputs {} x {}",
                               node.input_name(operand.input), s.h, s.w, shape.h, shape.w));
    }
    if (s.h != 1 || s.w != 1) extents.h = shape.h, extents.w = shape.w;
    tensors.emplace_back(&operand, std::move(tensor));
  }
  node.importer().spend(extents.count());
  Tensor<float> all(extents);
  for (const auto& [operand, tensor] : tensors) {
    const Shape& s = tensor.shape();
    for (int h = 0; h < extents.h; ++h) {
      for (int w = 0; w < extents.w; ++w) {
        const std::int64_t from = (std::int64_t{s.h == 1 ? 0 : h} * s.w + (s.w == 1 ? 0 : w)) * s.c;
        const std::int64_t to = (std::int64_t{h} * extents.w + w) * channels + operand->first;
        for (int c = 0; c < s.c; ++c) all[to + c] = tensor[from + c];
      }
    }
  }
  return all;
}

void import_with_constants(const NodeView& node, const std::vector<Operand>& operands, const Activation& like) {
  if (!like.flattened.empty()) throw Misfit("it joins constants to a flattened feature map");
  const std::vector<ValueId> in = padded_activations(node, operands);
  const int channels = operands.back().first + operands.back().channels;
  Tensor<float> constants = constants_of(node, operands, like, channels);
  const bool zeros = std::all_of(constants.span().begin(), constants.span().end(), [](float v) { return v == 0; });
  ValueId joined = in.size() == 1 ? in[0] : node.add(Concat{}, in, zeros ? "" : ".joined");
  if (!zeros) {
    joined = node.add(Add{}, {joined, node.importer().parameter(node.name() + ".constants", std::move(constants))});
  }
  node.result(joined, like);
}

void import_concat(const NodeView& node) {
  if (node.inputs() < 1) throw DataError("it has no inputs");
  const Activation first = first_activation(node);
  const std::size_t axis = join_axis(node, first);
  const std::vector<Operand> operands = read_operands(node, first, axis);
  for (const Operand& operand : operands) {
    if (operand.constant) return import_with_constants(node, operands, first);
  }
  Activation result = first;
  result.flattened.clear();
  std::vector<ValueId> in;
  bool flattened = false;
  for (const Operand& operand : operands) {
    const Activation& x = node.activation(operand.input);
    in.push_back(x.id);
    flattened = flattened || !x.flattened.empty();
    append_blocks(result.flattened, x, operand.channels);
  }
  if (!flattened) result.flattened.clear();
  if (in.size() == 1) return node.alias();
  node.importer().spend(static_cast<std::int64_t>(result.flattened.size()));
  node.result(node.add(Concat{}, std::move(in)), result);
}

}  // namespace

std::span<const HandlerEntry> join_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Concat", import_concat}};
  return kTable;
}

}  // namespace binade::importer
