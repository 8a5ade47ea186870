// Convolution by im2col and Eigen's matrix product, image by image; depthwise by plain loops.
#include "core/ops/conv_gemm.hpp"

#include <algorithm>

#include <Eigen/Core>

#include "core/base/tensor.hpp"

namespace binade::gemm {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Rows = Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using ConstRows = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// Calls body(output pixel, tap, input pixel) for every tap that falls inside the image.
template <class Body>
void for_each_tap(const ConvGeometry& g, Body&& body) {
  for (int oy = 0; oy < g.oh; ++oy) {
    for (int ox = 0; ox < g.ow; ++ox) {
      for (int i = 0; i < g.kh; ++i) {
        const int iy = oy * g.stride_h - g.pad_top + i * g.dilation_h;
        if (iy < 0 || iy >= g.ih) continue;
        for (int j = 0; j < g.kw; ++j) {
          const int ix = ox * g.stride_w - g.pad_left + j * g.dilation_w;
          if (ix < 0 || ix >= g.iw) continue;
          body(std::int64_t{oy} * g.ow + ox, i * g.kw + j, std::int64_t{iy} * g.iw + ix);
        }
      }
    }
  }
}

/// One group's patches, {oh * ow, kh * kw * group_ic}; taps outside the image are zero. The buffer is the thread's own.
template <class T>
ConstRows<T> patches(const ConvGeometry& g, const T* x, int group) {
  const int channels = g.group_ic();
  if (g.is_pointwise()) return {x, g.oh * g.ow, channels, Eigen::OuterStride<>(g.ic)};
  thread_local AlignedVector<T> buffer;
  const int columns = g.taps() * channels;
  buffer.assign(static_cast<std::size_t>(g.oh) * static_cast<std::size_t>(g.ow * columns), T(0));
  for_each_tap(g, [&](std::int64_t out, int tap, std::int64_t in) {
    std::copy_n(x + in * g.ic + group * channels, channels, buffer.data() + out * columns + tap * channels);
  });
  return {buffer.data(), g.oh * g.ow, columns, Eigen::OuterStride<>(columns)};
}

template <class T>
void forward_depthwise(const ConvGeometry& g, const T* x, const T* w, T* y) {
  for_each_tap(g, [&](std::int64_t out, int tap, std::int64_t in) {
    for (int c = 0; c < g.ic; ++c) y[out * g.oc + c] += x[in * g.ic + c] * w[c * g.taps() + tap];
  });
}

}  // namespace

template <class T>
void forward(const ConvGeometry& g, const T* x, const T* w, const T* b, T* y) {
  const int pixels = g.oh * g.ow;
  for (int p = 0; p < pixels; ++p) {
    T* row = y + std::int64_t{p} * g.oc;
    b != nullptr ? std::copy_n(b, g.oc, row) : std::fill_n(row, g.oc, T(0));
  }
  if (g.is_depthwise()) return forward_depthwise(g, x, w, y);
  const int columns = g.taps() * g.group_ic();
  for (int group = 0; group < g.groups; ++group) {
    const std::int64_t first = std::int64_t{group} * g.group_oc();
    const ConstRows<T> kernel(w + first * columns, g.group_oc(), columns, Eigen::OuterStride<>(columns));
    Rows<T> out(y + first, pixels, g.group_oc(), Eigen::OuterStride<>(g.oc));
    out.noalias() += patches(g, x, group) * kernel.transpose();
  }
}

template <class T>
void backward_data(const ConvGeometry& g, const T* dy, const T* w, T* dx) {
  if (g.is_depthwise()) {
    return for_each_tap(g, [&](std::int64_t out, int tap, std::int64_t in) {
      for (int c = 0; c < g.ic; ++c) dx[in * g.ic + c] += dy[out * g.oc + c] * w[c * g.taps() + tap];
    });
  }
  const int pixels = g.oh * g.ow;
  const int channels = g.group_ic(), columns = g.taps() * channels;
  thread_local Matrix<T> gradient;
  for (int group = 0; group < g.groups; ++group) {
    const std::int64_t first = std::int64_t{group} * g.group_oc();
    const ConstRows<T> kernel(w + first * columns, g.group_oc(), columns, Eigen::OuterStride<>(columns));
    const ConstRows<T> out(dy + first, pixels, g.group_oc(), Eigen::OuterStride<>(g.oc));
    gradient.noalias() = out * kernel;
    for_each_tap(g, [&](std::int64_t pixel, int tap, std::int64_t in) {
      const T* from = gradient.data() + pixel * columns + tap * channels;
      T* to = dx + in * g.ic + group * channels;
      for (int c = 0; c < channels; ++c) to[c] += from[c];
    });
  }
}

template <class T>
void backward_weights(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  if (g.is_depthwise()) {
    return for_each_tap(g, [&](std::int64_t out, int tap, std::int64_t in) {
      for (int c = 0; c < g.ic; ++c) dw[c * g.taps() + tap] += dy[out * g.oc + c] * x[in * g.ic + c];
    });
  }
  const int columns = g.taps() * g.group_ic();
  for (int group = 0; group < g.groups; ++group) {
    const std::int64_t first = std::int64_t{group} * g.group_oc();
    const ConstRows<T> out(dy + first, g.oh * g.ow, g.group_oc(), Eigen::OuterStride<>(g.oc));
    Rows<T> gradient(dw + first * columns, g.group_oc(), columns, Eigen::OuterStride<>(columns));
    gradient.noalias() += out.transpose() * patches(g, x, group);
  }
}

template void forward(const ConvGeometry&, const float*, const float*, const float*, float*);
template void forward(const ConvGeometry&, const double*, const double*, const double*, double*);
template void backward_data(const ConvGeometry&, const float*, const float*, float*);
template void backward_data(const ConvGeometry&, const double*, const double*, double*);
template void backward_weights(const ConvGeometry&, const float*, const float*, float*);
template void backward_weights(const ConvGeometry&, const double*, const double*, double*);

}  // namespace binade::gemm
