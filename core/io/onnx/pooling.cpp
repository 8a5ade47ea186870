// Windowed and global pools.
#include <algorithm>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

Window pool_window(const NodeView& node, const Activation& x) {
  const std::vector<int> kernel = node.integers("kernel_shape");
  if (kernel.size() != spatial_axes(x) || *std::min_element(kernel.begin(), kernel.end()) < 1) {
    throw DataError(fmt::format("kernel_shape is {}; want {} numbers, each 1 or more",
                                to_string(Dims(kernel.begin(), kernel.end())), spatial_axes(x)));
  }
  const Window window = read_window(node, kernel.size() == 1 ? 1 : kernel[0], kernel.back(), x);
  if (window.dilation_h != 1 || window.dilation_w != 1) throw DataError("dilated pools are not supported");
  return window;
}

void import_max_pool(const NodeView& node) {
  const Activation x = node.image(0);
  const Window w = pool_window(node, x);
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
  const Window w = pool_window(node, x);
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

}  // namespace

std::span<const HandlerEntry> pooling_handlers() {
  static constexpr HandlerEntry kTable[] = {{"MaxPool", import_max_pool},
                                            {"AveragePool", import_average_pool},
                                            {"GlobalAveragePool", import_global_average_pool},
                                            {"GlobalMaxPool", import_global_max_pool}};
  return kTable;
}

}  // namespace binade::importer
