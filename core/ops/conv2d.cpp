// Conv2d: shapes and gradients; the arithmetic is ConvEngine's.
#include <string>

#include "core/base/error.hpp"
#include "core/ops/conv_engine.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/ops.hpp"

namespace binade {

ConvGeometry conv_geometry(const Conv2d& op, const Shape& x, const Shape& w, const Shape& y) {
  return {.ih = x.h,
          .iw = x.w,
          .ic = x.c,
          .oh = y.h,
          .ow = y.w,
          .oc = y.c,
          .kh = w.h,
          .kw = w.w,
          .stride_h = op.stride_h,
          .stride_w = op.stride_w,
          .pad_top = op.pad_top,
          .pad_left = op.pad_left,
          .pad_bottom = op.pad_bottom,
          .pad_right = op.pad_right,
          .dilation_h = op.dilation_h,
          .dilation_w = op.dilation_w,
          .groups = op.groups};
}

Shape infer_op(const Conv2d& op, std::span<const Shape> in) {
  const auto check = [](bool ok, const std::string& what) {
    if (!ok) throw DataError("Conv2d: " + what);
  };
  check(in.size() == 2 || in.size() == 3,
        "wants image, kernel and perhaps bias, not " + std::to_string(in.size()) + " inputs");
  check_window("Conv2d", {op.stride_h, op.stride_w, op.pad_top, op.pad_left, op.pad_bottom, op.pad_right, op.dilation_h,
                          op.dilation_w, op.groups});
  const Shape &x = in[0], &w = in[1];
  check(w.n >= 1 && w.h >= 1 && w.w >= 1 && w.c >= 1, "the kernel is empty: " + to_string(w));
  check(std::int64_t{w.c} * op.groups == x.c, "the image has " + std::to_string(x.c) + " channels, the kernel " +
                                                  to_string(w) + " with groups=" + std::to_string(op.groups) +
                                                  " wants " + std::to_string(std::int64_t{w.c} * op.groups));
  check(w.n % op.groups == 0,
        std::to_string(w.n) + " output channels do not divide into " + std::to_string(op.groups) + " groups");
  check(in.size() == 2 || in[2] == channel_shape(w.n),
        "the bias is " + (in.size() == 3 ? to_string(in[2]) : "") + ", wanted " + to_string(channel_shape(w.n)));
  const std::int64_t h = std::int64_t{x.h} + op.pad_top + op.pad_bottom - std::int64_t{op.dilation_h} * (w.h - 1) - 1;
  const std::int64_t width =
      std::int64_t{x.w} + op.pad_left + op.pad_right - std::int64_t{op.dilation_w} * (w.w - 1) - 1;
  check(h >= 0 && width >= 0, "the kernel " + to_string(w) + " with dilation " + std::to_string(op.dilation_h) + "x" +
                                  std::to_string(op.dilation_w) + " is larger than the padded image " + to_string(x));
  return {x.n, static_cast<int>(h / op.stride_h + 1), static_cast<int>(width / op.stride_w + 1), w.n};
}

template <class T>
void forward_op(const Conv2d& op, const Forward<T>& f) {
  auto& engine = f.state.template get<ConvEngine<T>>();
  const T* bias = f.in.size() > 2 ? f.in[2].data : nullptr;
  engine.forward(conv_geometry(op, f.in[0].shape, f.in[1].shape, f.out.shape), f.out.shape.n, f.in[0].data,
                 f.in[1].data, bias, f.out.data, f.parameter_version);
}

template <class T>
void backward_op(const Conv2d& op, const Backward<T>& b) {
  auto& engine = b.state.template get<ConvEngine<T>>();
  const ConvGeometry g = conv_geometry(op, b.in[0].shape, b.in[1].shape, b.dout.shape);
  const int images = b.dout.shape.n;
  if (b.din[0]) {
    engine.backward_data(g, images, b.dout.data, b.in[1].data, b.din[0].data, b.parameter_version, b.is_fresh(0));
  }
  for (std::size_t i = 1; i < b.din.size(); ++i) {
    if (b.din[i] && b.is_fresh(i)) std::fill_n(b.din[i].data, b.din[i].count(), T(0));
  }
  if (b.din[1]) engine.backward_weights(g, images, b.in[0].data, b.dout.data, b.din[1].data);
  if (b.din.size() > 2 && b.din[2]) add_channel_sums(b.dout.shape.pixels(), g.oc, b.dout.data, b.din[2].data);
}

template struct Functions<Conv2d>;

}  // namespace binade
