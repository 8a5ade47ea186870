// ConvTranspose2d: the gradient of a convolution from its output to its input, run forwards.
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/ops/conv_engine.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/ops.hpp"

namespace binade {
namespace {

/// The convolution y -> x of which this op is the transpose. Output padding is room that its windows do not reach.
ConvGeometry geometry_of(const ConvTranspose2d& op, const Shape& x, const Shape& w, const Shape& y) {
  return {.ih = y.h,
          .iw = y.w,
          .ic = y.c,
          .oh = x.h,
          .ow = x.w,
          .oc = x.c,
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

/// Calls body(index in {oc, kh, kw, ic / groups}, index in {ic, kh, kw, oc / groups}) for every weight.
template <class Body>
void for_each_weight(const ConvGeometry& g, Body&& body) {
  const int group_ic = g.group_oc(), group_oc = g.group_ic();  // of the op: the convolution has them exchanged
  std::int64_t index = 0;
  for (int o = 0; o < g.ic; ++o) {
    for (int tap = 0; tap < g.taps(); ++tap) {
      for (int c = 0; c < group_ic; ++c, ++index) {
        const std::int64_t ic = std::int64_t{o / group_oc} * group_ic + c;
        body(index, (ic * g.taps() + tap) * group_oc + o % group_oc);
      }
    }
  }
}

template <class T>
struct State {
  ConvEngine<T> engine;
  std::vector<T> weights, gradient;  // {ic, kh, kw, oc / groups}
  std::uint64_t version = 0;

  void transpose(const ConvGeometry& g, const T* w, std::uint64_t parameter_version) {
    if (parameter_version != 0 && parameter_version == version) return;
    version = parameter_version;
    weights.resize(static_cast<std::size_t>(g.weight_count()));
    for_each_weight(g, [&](std::int64_t from, std::int64_t to) { weights[static_cast<std::size_t>(to)] = w[from]; });
  }
};

}  // namespace

Shape infer_op(const ConvTranspose2d& op, std::span<const Shape> in) {
  const auto check = [](bool ok, const std::string& what) {
    if (!ok) throw DataError("ConvTranspose2d: " + what);
  };
  check(in.size() == 2 || in.size() == 3,
        "wants image, kernel and perhaps bias, not " + std::to_string(in.size()) + " inputs");
  check_window("ConvTranspose2d", {op.stride_h, op.stride_w, op.pad_top, op.pad_left, op.pad_bottom, op.pad_right,
                                   op.dilation_h, op.dilation_w, op.groups});
  check(op.output_pad_h >= 0 && op.output_pad_w >= 0, "output pads must not be negative");
  const Shape &x = in[0], &w = in[1];
  check(w.n >= 1 && w.h >= 1 && w.w >= 1 && w.c >= 1, "the kernel is empty: " + to_string(w));
  check(std::int64_t{w.c} * op.groups == x.c, "the image has " + std::to_string(x.c) + " channels, the kernel " +
                                                  to_string(w) + " with groups=" + std::to_string(op.groups) +
                                                  " wants " + std::to_string(std::int64_t{w.c} * op.groups));
  check(w.n % op.groups == 0,
        std::to_string(w.n) + " output channels do not divide into " + std::to_string(op.groups) + " groups");
  check(in.size() == 2 || in[2] == channel_shape(w.n),
        "the bias is " + (in.size() == 3 ? to_string(in[2]) : "") + ", wanted " + to_string(channel_shape(w.n)));
  const auto extent = [](std::int64_t size, int stride, int pads, int dilation, int kernel, int extra) {
    return (size - 1) * stride - pads + std::int64_t{dilation} * (kernel - 1) + 1 + extra;
  };
  const std::int64_t h = extent(x.h, op.stride_h, op.pad_top + op.pad_bottom, op.dilation_h, w.h, op.output_pad_h);
  const std::int64_t width = extent(x.w, op.stride_w, op.pad_left + op.pad_right, op.dilation_w, w.w, op.output_pad_w);
  check(h >= 1 && width >= 1,
        "the pads leave nothing of the image " + to_string(x) + " with the kernel " + to_string(w));
  return {x.n, static_cast<int>(h), static_cast<int>(width), w.n};
}

template <class T>
void forward_op(const ConvTranspose2d& op, const Forward<T>& f) {
  auto& state = f.state.template get<State<T>>();
  const ConvGeometry g = geometry_of(op, f.in[0].shape, f.in[1].shape, f.out.shape);
  state.transpose(g, f.in[1].data, f.parameter_version);
  const std::int64_t pixels = f.out.shape.pixels();
  parallel_for(pixels, 4096, [&](std::int64_t begin, std::int64_t end) {
    T* y = f.out.data + begin * g.ic;
    if (f.in.size() < 3) return static_cast<void>(std::fill_n(y, (end - begin) * g.ic, T(0)));
    for (std::int64_t p = begin; p < end; ++p, y += g.ic) std::copy_n(f.in[2].data, g.ic, y);
  });
  state.engine.backward_data(g, f.out.shape.n, f.in[0].data, state.weights.data(), f.out.data, f.parameter_version);
}

template <class T>
void backward_op(const ConvTranspose2d& op, const Backward<T>& b) {
  auto& state = b.state.template get<State<T>>();
  const ConvGeometry g = geometry_of(op, b.in[0].shape, b.in[1].shape, b.dout.shape);
  const int images = b.dout.shape.n;
  if (b.din[0]) {
    state.transpose(g, b.in[1].data, b.parameter_version);
    std::vector<T>& dx = state.gradient;
    dx.resize(static_cast<std::size_t>(b.in[0].count()));
    const T* none = nullptr;
    state.engine.forward(g, images, b.dout.data, state.weights.data(), none, dx.data(), b.parameter_version);
    parallel_for(b.in[0].count(), 65536, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) b.din[0].data[i] += dx[static_cast<std::size_t>(i)];
    });
  }
  if (b.din[1]) {
    std::vector<T>& dw = state.gradient;
    dw.assign(static_cast<std::size_t>(g.weight_count()), T(0));
    state.engine.backward_weights(g, images, b.dout.data, b.in[0].data, dw.data());
    for_each_weight(
        g, [&](std::int64_t to, std::int64_t from) { b.din[1].data[to] += dw[static_cast<std::size_t>(from)]; });
  }
  if (b.din.size() > 2 && b.din[2]) add_channel_sums(b.dout.shape.pixels(), g.ic, b.dout.data, b.din[2].data);
}

template struct Functions<ConvTranspose2d>;

}  // namespace binade
