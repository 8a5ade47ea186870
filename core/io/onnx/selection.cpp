// Gather with constant indices: single rows, columns or channels, and channels in another order.
#include <algorithm>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// Indices that follow each other at a fixed distance: what one Slice takes.
struct Run {
  int begin = 0, count = 1, step = 1;
  int end() const { return begin + (count - 1) * step + 1; }
};

std::vector<Run> runs_of(const std::vector<int>& indices) {
  std::vector<Run> runs;
  for (const int index : indices) {
    if (!runs.empty()) {
      Run& last = runs.back();
      const int step = index - (last.begin + (last.count - 1) * last.step);
      if (step >= 1 && (last.count == 1 || step == last.step)) {
        last.step = step;
        ++last.count;
        continue;
      }
    }
    runs.push_back({.begin = index});
  }
  return runs;
}

ValueId take(const NodeView& node, const Activation& x, Axis axis, const std::vector<Run>& runs) {
  std::vector<ValueId> pieces;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Slice slice{.axis = slice_axis(axis), .begin = runs[i].begin, .end = runs[i].end(), .step = runs[i].step};
    pieces.push_back(node.add(slice, {x.id}, runs.size() == 1 ? "" : fmt::format(".{}", i)));
  }
  return pieces.size() == 1 ? pieces[0] : node.add(Concat{}, std::move(pieces));
}

void import_gather(const NodeView& node) {
  const Activation x = node.activation(0);
  const std::size_t position = resolve_axis(node.integer("axis", 0), x);
  const Axis axis = x.axes[position];
  if (axis == Axis::n) throw DataError("it selects images of the batch");
  if (axis == Axis::c && !x.flattened.empty()) throw Misfit("it selects channels of a flattened feature map");
  const Constant& stored = node.constant(1, "indices");
  if (stored.dims.size() > 1) {
    throw DataError(fmt::format("its indices have {} axes; one index or a list is supported", stored.dims.size()));
  }
  std::vector<int> indices = node.integer_list(1, "indices");
  const int size = extent(node.graph().shape(x.id), axis);
  for (int& index : indices) {
    if (index < -size || index >= size) throw Misfit(fmt::format("index {} is outside of {} elements", index, size));
    if (index < 0) index += size;
  }
  if (indices.empty()) throw DataError("it selects nothing");
  const std::vector<Run> runs = runs_of(indices);
  if (runs.size() > 1 && axis != Axis::c) {
    throw DataError("it selects rows or columns that are not evenly spaced; only channels can be in any order");
  }
  Activation result = x;
  result.id = take(node, x, axis, runs);
  if (stored.dims.empty()) result.axes.erase(result.axes.begin() + static_cast<std::ptrdiff_t>(position));
  node.result(0, std::move(result));
}

}  // namespace

std::span<const HandlerEntry> selection_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Gather", import_gather}};
  return kTable;
}

}  // namespace binade::importer
