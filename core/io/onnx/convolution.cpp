// Conv and ConvTranspose: kernels to OHWI, padding made explicit.
#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// A stored kernel's extents, in ONNX's order (OIHW or IOHW); a kernel over width alone has height 1.
std::array<int, 4> kernel_extents(const NodeView& node, const Constant& weight, const Activation& x) {
  if (weight.dims.size() != x.axes.size()) {
    throw DataError(
        fmt::format("its weight '{}' has the extents {}, its input the axes [{}]; only convolutions over "
                    "height and width, or width alone, are supported",
                    node.input_name(1), to_string(weight.dims), to_string(x.axes)));
  }
  Dims dims = weight.dims;
  if (dims.size() == 3) dims.insert(dims.begin() + 2, 1);
  std::array<int, 4> extents{};
  for (std::size_t i = 0; i < 4; ++i) {
    if (dims[i] < 1 || dims[i] > kMaxExtent) {
      throw DataError(fmt::format("its weight '{}' has the extents {}", node.input_name(1), to_string(weight.dims)));
    }
    extents[i] = static_cast<int>(dims[i]);
  }
  const std::vector<int> kernel = node.integers("kernel_shape");
  const std::vector<int> wanted(extents.end() - static_cast<std::ptrdiff_t>(spatial_axes(x)), extents.end());
  if (!kernel.empty() && kernel != wanted) {
    throw DataError(fmt::format("kernel_shape is {}, but its weight '{}' has the extents {}",
                                to_string(Dims(kernel.begin(), kernel.end())), node.input_name(1),
                                to_string(weight.dims)));
  }
  return extents;
}

int read_groups(const NodeView& node) {
  const auto groups = static_cast<int>(node.integer("group", 1));
  if (groups < 1) throw DataError(fmt::format("attribute 'group' is {}, want 1 or more", groups));
  return groups;
}

ValueId read_bias(const NodeView& node, int channels) {
  const Constant& bias = node.constant(2, "bias");
  if (bias.count() != channels) {
    throw DataError(
        fmt::format("its bias '{}' has the extents {}, want [{}]", node.input_name(2), to_string(bias.dims), channels));
  }
  const std::vector<float> elements = to_reals(bias);
  return node.parameter(2, ".bias", Tensor<float>(channel_shape(channels), elements));
}

void import_conv(const NodeView& node) {
  const Activation x = node.image(0);
  const Constant& weight = node.constant(1, "weight");
  const auto [oc, ic, kh, kw] = kernel_extents(node, weight, x);
  const std::vector<float> elements = to_reals(weight);
  node.importer().spend(weight.count());
  Tensor<float> kernel(Shape{oc, kh, kw, ic});
  const std::int64_t taps = std::int64_t{kh} * kw;
  for (std::int64_t o = 0, to = 0; o < oc; ++o) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t i = 0; i < ic; ++i, ++to)
        kernel[to] = elements[static_cast<std::size_t>((o * ic + i) * taps + tap)];
    }
  }
  const Window window = read_window(node, kh, kw, x);
  std::vector<ValueId> in{x.id, node.parameter(1, ".weight", std::move(kernel))};
  if (node.has_input(2)) in.push_back(read_bias(node, oc));
  const Conv2d op{.stride_h = window.stride_h,
                  .stride_w = window.stride_w,
                  .pad_top = window.pad_top,
                  .pad_left = window.pad_left,
                  .pad_bottom = window.pad_bottom,
                  .pad_right = window.pad_right,
                  .dilation_h = window.dilation_h,
                  .dilation_w = window.dilation_w,
                  .groups = read_groups(node)};
  const int channels = node.graph().shape(x.id).c;
  if (std::int64_t{ic} * op.groups != channels || oc % op.groups != 0) {
    throw Misfit(fmt::format("its weight '{}' {} with group = {} wants {} input channels, its input has {}",
                             node.input_name(1), to_string(weight.dims), op.groups, std::int64_t{ic} * op.groups,
                             channels));
  }
  node.result(node.add(op, std::move(in)), x);
}

/// The padding of one axis of a transposed convolution.
struct AxisPads {
  int& begin;
  int& end;
  int& output;  ///< pixels at the end that no product reaches
};

/// Padding from output_shape or auto_pad, by the formulas of the operator's page: `total` pixels of the uncropped
/// result are cut off; where the wanted extent is larger than the uncropped one, the rest of it gets the bias alone.
void pads_for_extent(std::int64_t total, bool more_at_end, const AxisPads& pads) {
  if (total < -kMaxExtent || total > kMaxExtent) throw Misfit("its output_shape is absurd");
  if (total < 0) {
    pads.output += static_cast<int>(-total);
    total = 0;
  }
  pads.begin = static_cast<int>(more_at_end ? total / 2 : total - total / 2);
  pads.end = static_cast<int>(total - pads.begin);
}

ConvTranspose2d transposed_window(const NodeView& node, int kh, int kw, const Activation& x) {
  const Shape& input = node.graph().shape(x.id);
  // auto_pad means something else here than in a convolution, so only the explicit pads are read by read_window.
  const Window w = read_window(node, kh, kw, x);
  ConvTranspose2d op{.stride_h = w.stride_h,
                     .stride_w = w.stride_w,
                     .pad_top = w.pad_top,
                     .pad_left = w.pad_left,
                     .pad_bottom = w.pad_bottom,
                     .pad_right = w.pad_right,
                     .dilation_h = w.dilation_h,
                     .dilation_w = w.dilation_w};
  const std::vector<int> extra = node.integers("output_padding");
  if (!extra.empty() && (extra.size() != spatial_axes(x) || *std::min_element(extra.begin(), extra.end()) < 0)) {
    throw DataError(fmt::format("attribute 'output_padding' wants {} numbers >= 0", spatial_axes(x)));
  }
  if (!extra.empty()) op.output_pad_h = extra.size() == 1 ? 0 : extra[0], op.output_pad_w = extra.back();
  // The uncropped extents, in 64 bits: nothing that follows may overflow an int.
  const std::int64_t full_h = std::int64_t{input.h - 1} * op.stride_h + op.output_pad_h + op.dilation_h * (kh - 1) + 1;
  const std::int64_t full_w = std::int64_t{input.w - 1} * op.stride_w + op.output_pad_w + op.dilation_w * (kw - 1) + 1;
  if (std::max(full_h, full_w) > kMaxExtent)
    throw Misfit(fmt::format("it makes {} x {} pixels, which is absurd", full_h, full_w));
  std::vector<int> wanted = node.integers("output_shape");
  const std::string auto_pad = node.text("auto_pad", "NOTSET");
  if (wanted.empty() && auto_pad.starts_with("SAME")) wanted = {input.h * op.stride_h, input.w * op.stride_w};
  if (wanted.empty()) return op;
  if (wanted.size() == x.axes.size()) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (wanted.size() == 1 && spatial_axes(x) == 1) wanted.insert(wanted.begin(), 1);
  if (wanted.size() != 2) throw DataError("attribute 'output_shape' wants the height and width");
  const bool more_at_end = auto_pad != "SAME_LOWER" && auto_pad != "NOTSET";
  pads_for_extent(full_h - wanted[0], more_at_end, {op.pad_top, op.pad_bottom, op.output_pad_h});
  pads_for_extent(full_w - wanted[1], more_at_end, {op.pad_left, op.pad_right, op.output_pad_w});
  return op;
}

void import_conv_transpose(const NodeView& node) {
  const Activation x = node.image(0);
  const Constant& weight = node.constant(1, "weight");
  const auto [ic, ocg, kh, kw] = kernel_extents(node, weight, x);
  const Shape input = node.graph().shape(x.id);
  ConvTranspose2d op = transposed_window(node, kh, kw, x);
  op.groups = read_groups(node);
  if (ic != input.c || ic % op.groups != 0) {
    throw Misfit(fmt::format("its weight '{}' {} with group = {} wants {} input channels, its input has {}",
                             node.input_name(1), to_string(weight.dims), op.groups, ic, input.c));
  }
  const std::vector<float> elements = to_reals(weight);
  node.importer().spend(weight.count());
  const int icg = ic / op.groups;
  const std::int64_t taps = std::int64_t{kh} * kw, oc = std::int64_t{ocg} * op.groups;
  if (oc > kMaxExtent) throw DataError(fmt::format("it makes {} channels, which is absurd", oc));
  Tensor<float> kernel(Shape{static_cast<int>(oc), kh, kw, icg});
  for (std::int64_t o = 0, to = 0; o < oc; ++o) {
    const std::int64_t group = o / ocg;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t i = 0; i < icg; ++i, ++to) {
        kernel[to] = elements[static_cast<std::size_t>(((group * icg + i) * ocg + o % ocg) * taps + tap)];
      }
    }
  }
  std::vector<ValueId> in{x.id, node.parameter(1, ".weight", std::move(kernel))};
  if (node.has_input(2)) in.push_back(read_bias(node, static_cast<int>(oc)));
  node.result(node.add(op, std::move(in)), x);
}

/// One positive number per spatial axis, or the default.
std::pair<int, int> read_pair(const NodeView& node, std::string_view name, const Activation& x) {
  const std::vector<int> values = node.integers(name);
  if (values.empty()) return {1, 1};
  if (values.size() != spatial_axes(x) || *std::min_element(values.begin(), values.end()) < 1) {
    throw DataError(fmt::format("attribute '{}' is {}, want {} numbers >= 1", name,
                                to_string(Dims(values.begin(), values.end())), spatial_axes(x)));
  }
  return {values.size() == 1 ? 1 : values[0], values.back()};
}

/// TensorFlow's SAME: ceil(extent / stride) windows, an odd pad at the end (UPPER) or at the start (LOWER).
void same_pads(int extent, int stride, int reach, bool upper, int& begin, int& end) {
  const int windows = (extent + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>(0, std::int64_t{windows - 1} * stride + reach - extent);
  begin = static_cast<int>(upper ? total / 2 : total - total / 2);
  end = static_cast<int>(total - begin);
}

}  // namespace

Window read_window(const NodeView& node, int kernel_h, int kernel_w, const Activation& x) {
  const Shape& input = node.graph().shape(x.id);
  Window window{.kernel_h = kernel_h, .kernel_w = kernel_w};
  std::tie(window.stride_h, window.stride_w) = read_pair(node, "strides", x);
  std::tie(window.dilation_h, window.dilation_w) = read_pair(node, "dilations", x);
  const std::int64_t reach_h = std::int64_t{kernel_h - 1} * window.dilation_h + 1;
  const std::int64_t reach_w = std::int64_t{kernel_w - 1} * window.dilation_w + 1;
  if (std::max(reach_h, reach_w) > kMaxExtent) throw DataError("kernel and dilation are absurdly large");
  const std::vector<int> pads = node.integers("pads");
  const std::string auto_pad = node.text("auto_pad", "NOTSET");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    const bool upper = auto_pad == "SAME_UPPER";
    same_pads(input.h, window.stride_h, static_cast<int>(reach_h), upper, window.pad_top, window.pad_bottom);
    same_pads(input.w, window.stride_w, static_cast<int>(reach_w), upper, window.pad_left, window.pad_right);
  } else if (auto_pad == "NOTSET" || auto_pad.empty()) {
    if (pads.empty()) return window;
    if (pads.size() != 2 * spatial_axes(x) || *std::min_element(pads.begin(), pads.end()) < 0) {
      throw DataError(fmt::format("attribute 'pads' is {}, want {} numbers >= 0",
                                  to_string(Dims(pads.begin(), pads.end())), 2 * spatial_axes(x)));
    }
    if (pads.size() == 4) window.pad_top = pads[0], window.pad_bottom = pads[2];
    window.pad_left = pads[pads.size() / 2 - 1], window.pad_right = pads.back();
  } else if (auto_pad != "VALID") {
    throw DataError(
        fmt::format("attribute 'auto_pad' is '{}'; ONNX knows NOTSET, VALID, SAME_UPPER and SAME_LOWER", auto_pad));
  }
  return window;
}

std::span<const HandlerEntry> convolution_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Conv", import_conv}, {"ConvTranspose", import_conv_transpose}};
  return kTable;
}

}  // namespace binade::importer
