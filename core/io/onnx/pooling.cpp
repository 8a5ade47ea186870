// Windowed and global pools.
#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

Window pool_window(const NodeView& node, const Shape& input) {
  const std::vector<int> kernel = node.integers("kernel_shape");
  if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1) {
    throw DataError(fmt::format("kernel_shape is {}; only 2-D pools, with a kernel of 1 x 1 or more, are supported",
                                to_string(Dims(kernel.begin(), kernel.end()))));
  }
  const Window window = read_window(node, kernel[0], kernel[1], input);
  if (window.dilation_h != 1 || window.dilation_w != 1) throw DataError("dilated pools are not supported");
  return window;
}

void import_max_pool(const NodeView& node) {
  const Activation x = node.image(0);
  const Window w = pool_window(node, node.graph().shape(x.id));
  const MaxPool op{.kernel_h = w.kernel_h,
                   .kernel_w = w.kernel_w,
                   .stride_h = w.stride_h,
                   .stride_w = w.stride_w,
                   .pad_top = w.pad_top,
                   .pad_left = w.pad_left,
                   .pad_bottom = w.pad_bottom,
                   .pad_right = w.pad_right,
                   .ceil_mode = node.integer("ceil_mode", 0) != 0};
  node.result(node.add(op, {x.id}), x);
}

void import_average_pool(const NodeView& node) {
  const Activation x = node.image(0);
  const Window w = pool_window(node, node.graph().shape(x.id));
  const AvgPool op{.kernel_h = w.kernel_h,
                   .kernel_w = w.kernel_w,
                   .stride_h = w.stride_h,
                   .stride_w = w.stride_w,
                   .pad_top = w.pad_top,
                   .pad_left = w.pad_left,
                   .pad_bottom = w.pad_bottom,
                   .pad_right = w.pad_right,
                   .ceil_mode = node.integer("ceil_mode", 0) != 0,
                   .count_include_pad = node.integer("count_include_pad", 0) != 0};
  node.result(node.add(op, {x.id}), x);
}

void import_global_average_pool(const NodeView& node) {
  const Activation x = node.image(0);
  node.result(node.add(GlobalAvgPool{}, {x.id}), x);
}

void import_global_max_pool(const NodeView& node) {
  const Activation x = node.image(0);
  const Shape shape = node.graph().shape(x.id);
  node.result(node.add(MaxPool{.kernel_h = shape.h, .kernel_w = shape.w, .stride_h = 1, .stride_w = 1}, {x.id}), x);
}

/// Mean over h and w, however the axes are called.
void import_reduce_mean(const NodeView& node) {
  Activation x = node.activation(0);
  const Shape shape = node.graph().shape(x.id);
  std::vector<int> axes = node.has_input(1) ? node.integer_list(1, "axes") : node.integers("axes");
  const auto rank = static_cast<int>(x.axes.size());
  if (axes.empty()) throw DataError("it averages over all axes, the batch included");
  std::vector<bool> reduced(x.axes.size());
  for (int axis : axes) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank)
      throw Misfit(fmt::format("axis {} is outside its input [{}]", axis, to_string(x.axes)));
    reduced[static_cast<std::size_t>(axis)] = true;
  }
  bool over_h = shape.h == 1, over_w = shape.w == 1, over_others = false;
  Activation result = x;
  result.axes.clear();
  const bool keep = node.integer("keepdims", 1) != 0;
  for (std::size_t i = 0; i < x.axes.size(); ++i) {
    over_h = over_h || (reduced[i] && x.axes[i] == Axis::h);
    over_w = over_w || (reduced[i] && x.axes[i] == Axis::w);
    over_others = over_others || (reduced[i] && (x.axes[i] == Axis::n || (x.axes[i] == Axis::c && shape.c != 1)));
    if (keep || !reduced[i]) result.axes.push_back(x.axes[i]);
  }
  if (over_others || !over_h || !over_w) {
    throw Misfit(fmt::format("it averages over axes {} of [{}]; only over height and width together is supported",
                             to_string(Dims(axes.begin(), axes.end())), to_string(x.axes)));
  }
  node.result(node.add(GlobalAvgPool{}, {x.id}), result);
}

}  // namespace

std::span<const HandlerEntry> pooling_handlers() {
  static constexpr HandlerEntry kTable[] = {{"MaxPool", import_max_pool},
                                            {"AveragePool", import_average_pool},
                                            {"GlobalAveragePool", import_global_average_pool},
                                            {"GlobalMaxPool", import_global_max_pool},
                                            {"ReduceMean", import_reduce_mean}};
  return kTable;
}

}  // namespace binade::importer
