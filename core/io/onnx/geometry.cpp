// Slice, Split and Pad.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

struct SliceArguments {
  std::vector<int> starts, ends, axes, steps;
};

SliceArguments read_slice(const NodeView& node) {
  SliceArguments a;
  if (node.opset() < 10) {
    a.starts = node.integers("starts", true);
    a.ends = node.integers("ends", true);
    a.axes = node.integers("axes");
  } else {
    a.starts = node.integer_list(1, "starts");
    a.ends = node.integer_list(2, "ends");
    if (node.has_input(3)) a.axes = node.integer_list(3, "axes");
    if (node.has_input(4)) a.steps = node.integer_list(4, "steps");
  }
  if (a.axes.empty()) {
    for (std::size_t i = 0; i < a.starts.size(); ++i) a.axes.push_back(static_cast<int>(i));
  }
  if (a.steps.empty()) a.steps.assign(a.starts.size(), 1);
  if (a.starts.empty() || a.ends.size() != a.starts.size() || a.axes.size() != a.starts.size() ||
      a.steps.size() != a.starts.size()) {
    throw DataError("its starts, ends, axes and steps differ in number");
  }
  return a;
}

void import_slice(const NodeView& node) {
  const Activation x = node.activation(0);
  const SliceArguments a = read_slice(node);
  Shape shape = node.graph().shape(x.id);
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < a.starts.size(); ++i) {
    const Axis axis = x.axes[resolve_axis(a.axes[i], x)];
    const int size = extent(shape, axis), step = a.steps[i];
    if (step < 1) throw DataError(fmt::format("step {} on axis {}; only steps >= 1 are supported", step, a.axes[i]));
    const auto absolute = [&](int v) { return std::clamp(v < 0 ? v + size : v, 0, size); };
    // The batch extent is not known, so only a slice that visibly keeps all of it will do.
    const bool whole = axis == Axis::n ? a.starts[i] == 0 && a.ends[i] >= kMaxExtent && step == 1
                                       : absolute(a.starts[i]) == 0 && absolute(a.ends[i]) == size && step == 1;
    if (whole) continue;
    if (axis == Axis::n) throw DataError("it slices the batch");
    if (axis == Axis::c && !x.flattened.empty()) throw Misfit("it slices channels of a flattened feature map");
    const Slice slice{
        .axis = slice_axis(axis), .begin = absolute(a.starts[i]), .end = absolute(a.ends[i]), .step = step};
    if (slice.begin >= slice.end) {
      throw Misfit(fmt::format("it keeps nothing: [{}, {}) of {} on axis {}", a.starts[i], a.ends[i], size, a.axes[i]));
    }
    extent(shape, axis) = (slice.end - slice.begin + step - 1) / step;
    slices.push_back(slice);
  }
  if (slices.empty()) return node.alias();
  ValueId id = x.id;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    id = node.add(slices[i], {id}, i + 1 == slices.size() ? "" : fmt::format(".axis{}", slices[i].axis));
  }
  node.result(id, x);
}

void import_split(const NodeView& node) {
  const Activation x = node.activation(0);
  const Axis axis = x.axes[resolve_axis(node.integer("axis", 0), x)];
  const int size = extent(node.graph().shape(x.id), axis), outputs = node.proto().output_size();
  if (axis == Axis::n) throw DataError("it splits the batch");
  if (axis == Axis::c && !x.flattened.empty()) throw Misfit("it splits channels of a flattened feature map");
  std::vector<int> sizes = node.has_input(1) ? node.integer_list(1, "split") : node.integers("split");
  if (sizes.empty()) {
    const int piece = (size + outputs - 1) / std::max(outputs, 1);  // opset 18: the last one may be smaller
    for (int left = size; left > 0; left -= piece) sizes.push_back(std::min(piece, left));
  }
  std::int64_t total = 0;
  for (const int piece : sizes) total += piece;
  if (static_cast<int>(sizes.size()) != outputs || total != size || *std::min_element(sizes.begin(), sizes.end()) < 1) {
    throw Misfit(
        fmt::format("it splits {} into {} for {} outputs", size, to_string(Dims(sizes.begin(), sizes.end())), outputs));
  }
  int begin = 0;
  for (int i = 0; i < outputs; ++i) {
    const int end = begin + sizes[static_cast<std::size_t>(i)];
    Activation piece = x;
    piece.id = node.add(Slice{.axis = slice_axis(axis), .begin = begin, .end = end}, {x.id}, fmt::format(".{}", i));
    node.result(i, std::move(piece));
    begin = end;
  }
}

double read_pad_value(const NodeView& node) {
  double value = node.opset() < 11 ? node.real("value", 0) : 0;
  if (node.opset() >= 11 && node.has_input(2)) {
    const std::vector<float> stored = to_reals(node.constant(2, "value"));
    if (stored.size() > 1) throw DataError("its value has several elements, want one");
    if (!stored.empty()) value = static_cast<double>(stored[0]);
  }
  if (std::isnan(value)) throw DataError("it pads with NaN");
  constexpr double largest = std::numeric_limits<float>::max();  // "-inf" before a max pool: must stay a number
  return std::clamp(value, -largest, largest);
}

void import_pad(const NodeView& node) {
  const Activation x = node.activation(0);
  const std::string mode = node.text("mode", "constant");
  if (mode != "constant") throw DataError(fmt::format("mode '{}' is not supported; want 'constant'", mode));
  const std::vector<int> pads = node.opset() < 11 ? node.integers("pads") : node.integer_list(1, "pads");
  std::vector<int> axes;
  if (node.has_input(3)) axes = node.integer_list(3, "axes");
  if (axes.empty()) {
    for (std::size_t i = 0; i < x.axes.size(); ++i) axes.push_back(static_cast<int>(i));
  }
  if (pads.size() != 2 * axes.size()) {
    throw Misfit(fmt::format("it has {} pads for {} axes, want two each", pads.size(), axes.size()));
  }
  Pad op{.value = read_pad_value(node)};
  bool any = false;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int before = pads[i], after = pads[i + axes.size()];
    if (before == 0 && after == 0) continue;
    any = true;
    if (before < 0 || after < 0) throw DataError("it has negative pads, which cut; use a Slice");
    switch (x.axes[resolve_axis(axes[i], x)]) {
      case Axis::n: throw DataError("it pads the batch");
      case Axis::h: op.top = before, op.bottom = after; break;
      case Axis::w: op.left = before, op.right = after; break;
      case Axis::c:
        if (!x.flattened.empty()) throw Misfit("it pads channels of a flattened feature map");
        op.channels_before = before, op.channels_after = after;
    }
  }
  if (!any) return node.alias();
  node.result(node.add(op, {x.id}), x);
}

}  // namespace

std::span<const HandlerEntry> geometry_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Slice", import_slice}, {"Split", import_split}, {"Pad", import_pad}};
  return kTable;
}

}  // namespace binade::importer
