// ReduceMean, ReduceSum and ReduceMax over height, width or both, however the axes are spelled.
#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// Which extents a reduction covers, and its result's axes.
struct Reduction {
  Activation input;
  Activation result;  ///< the input with the reduced axes removed, unless they are kept with extent 1
  bool over_h = false, over_w = false;

  bool is_identity() const { return !over_h && !over_w; }
};

std::vector<bool> reduced_axes(const NodeView& node, std::size_t rank) {
  const std::vector<int> axes = node.has_input(1) ? node.integer_list(1, "axes") : node.integers("axes");
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) == 0) {
    throw DataError("it reduces all axes, the batch included");
  }
  return marked(axes, rank);
}

Reduction read_reduction(const NodeView& node) {
  Reduction reduction{.input = node.activation(0)};
  const Activation& x = reduction.input;
  const Shape shape = node.graph().shape(x.id);
  const std::vector<bool> reduced = reduced_axes(node, x.axes.size());
  const bool keep = node.integer("keepdims", 1) != 0;
  reduction.result = x;
  reduction.result.axes.clear();
  for (std::size_t i = 0; i < x.axes.size(); ++i) {
    const Axis axis = x.axes[i];
    if (keep || !reduced[i]) reduction.result.axes.push_back(axis);
    if (!reduced[i]) continue;
    if (axis == Axis::n) throw DataError("it reduces the batch");
    if (axis == Axis::c && shape.c != 1) {
      throw Misfit(
          fmt::format("it reduces the channels of [{}]; only height and width are supported", to_string(x.axes)));
    }
    reduction.over_h = reduction.over_h || (axis == Axis::h && shape.h != 1);
    reduction.over_w = reduction.over_w || (axis == Axis::w && shape.w != 1);
  }
  return reduction;
}

ValueId mean_of(const NodeView& node, const Reduction& reduction, std::string_view suffix) {
  const Shape shape = node.graph().shape(reduction.input.id);
  const bool global = (reduction.over_h || shape.h == 1) && (reduction.over_w || shape.w == 1);
  if (global) return node.add(GlobalAvgPool{}, {reduction.input.id}, suffix);
  const AvgPool window{.kernel_h = reduction.over_h ? shape.h : 1,
                       .kernel_w = reduction.over_w ? shape.w : 1,
                       .stride_h = 1,
                       .stride_w = 1};
  return node.add(window, {reduction.input.id}, suffix);
}

void import_reduce_mean(const NodeView& node) {
  const Reduction reduction = read_reduction(node);
  if (reduction.is_identity()) return node.result(0, reduction.result);
  node.result(mean_of(node, reduction, ""), reduction.result);
}

/// A mean, times the number of elements: accumulators of integer averages hold the sum anyway.
void import_reduce_sum(const NodeView& node) {
  const Reduction reduction = read_reduction(node);
  if (reduction.is_identity()) return node.result(0, reduction.result);
  const Shape shape = node.graph().shape(reduction.input.id);
  const int count = (reduction.over_h ? shape.h : 1) * (reduction.over_w ? shape.w : 1);
  const ValueId mean = mean_of(node, reduction, ".mean");
  const ValueId factor =
      node.importer().parameter(node.name() + ".count", Tensor<float>(channel_shape(1), static_cast<float>(count)));
  node.result(node.add(Mul{}, {mean, factor}), reduction.result);
}

void import_reduce_max(const NodeView& node) {
  const Reduction reduction = read_reduction(node);
  if (reduction.is_identity()) return node.result(0, reduction.result);
  const Shape shape = node.graph().shape(reduction.input.id);
  const MaxPool window{.kernel_h = reduction.over_h ? shape.h : 1,
                       .kernel_w = reduction.over_w ? shape.w : 1,
                       .stride_h = 1,
                       .stride_w = 1};
  node.result(node.add(window, {reduction.input.id}), reduction.result);
}

}  // namespace

std::span<const HandlerEntry> reduction_handlers() {
  static constexpr HandlerEntry kTable[] = {
      {"ReduceMean", import_reduce_mean}, {"ReduceSum", import_reduce_sum}, {"ReduceMax", import_reduce_max}};
  return kTable;
}

}  // namespace binade::importer
