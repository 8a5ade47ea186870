// Convolutions and the matrix product, by their definition.
#include "tests/reference/reference.hpp"

namespace binade::reference {

Tensor<double> forward(const Conv2d& op, std::span<const Tensor<double>> in) {
  const Tensor<double>&x = in[0], &w = in[1];
  const Shape &xs = x.shape(), &ws = w.shape();
  const int oh = (xs.h + op.pad_top + op.pad_bottom - op.dilation_h * (ws.h - 1) - 1) / op.stride_h + 1;
  const int ow = (xs.w + op.pad_left + op.pad_right - op.dilation_w * (ws.w - 1) - 1) / op.stride_w + 1;
  return make({xs.n, oh, ow, ws.n}, [&](int n, int y, int z, int o) {
    const int group = o / (ws.n / op.groups);
    double sum = in.size() > 2 ? in[2][o] : 0;
    for (int i = 0; i < ws.h; ++i) {
      for (int j = 0; j < ws.w; ++j) {
        const int row = y * op.stride_h - op.pad_top + i * op.dilation_h;
        const int column = z * op.stride_w - op.pad_left + j * op.dilation_w;
        if (row < 0 || row >= xs.h || column < 0 || column >= xs.w) continue;
        for (int c = 0; c < ws.c; ++c) sum += at(x, n, row, column, group * ws.c + c) * at(w, o, i, j, c);
      }
    }
    return sum;
  });
}

// Every input pixel paints a kernel onto the output; here seen from the output: which input pixels reach it.
Tensor<double> forward(const ConvTranspose2d& op, std::span<const Tensor<double>> in) {
  const Tensor<double>&x = in[0], &w = in[1];
  const Shape &xs = x.shape(), &ws = w.shape();
  const int oh =
      (xs.h - 1) * op.stride_h - op.pad_top - op.pad_bottom + op.dilation_h * (ws.h - 1) + 1 + op.output_pad_h;
  const int ow =
      (xs.w - 1) * op.stride_w - op.pad_left - op.pad_right + op.dilation_w * (ws.w - 1) + 1 + op.output_pad_w;
  return make({xs.n, oh, ow, ws.n}, [&](int n, int y, int z, int o) {
    const int group = o / (ws.n / op.groups);
    double sum = in.size() > 2 ? in[2][o] : 0;
    for (int row = 0; row < xs.h; ++row) {
      for (int column = 0; column < xs.w; ++column) {
        for (int i = 0; i < ws.h; ++i) {
          for (int j = 0; j < ws.w; ++j) {
            if (row * op.stride_h - op.pad_top + i * op.dilation_h != y) continue;
            if (column * op.stride_w - op.pad_left + j * op.dilation_w != z) continue;
            for (int c = 0; c < ws.c; ++c) sum += at(x, n, row, column, group * ws.c + c) * at(w, o, i, j, c);
          }
        }
      }
    }
    return sum;
  });
}

Tensor<double> forward(const Linear&, std::span<const Tensor<double>> in) {
  Shape s = in[0].shape();
  const int inputs = s.c;
  s.c = in[1].shape().n;
  return make(s, [&](int n, int h, int w, int o) {
    double sum = in.size() > 2 ? in[2][o] : 0;
    for (int c = 0; c < inputs; ++c) sum += at(in[0], n, h, w, c) * at(in[1], o, 0, 0, c);
    return sum;
  });
}

}  // namespace binade::reference
