// Second implementations of the ops' forward passes, in double, written from the formulas in ops.hpp and nothing else.
#pragma once

#include <span>

#include "core/base/tensor.hpp"
#include "core/ops/ops.hpp"

namespace binade::reference {

/// What `op` makes of `in`: one element at a time, no blocking, no threads.
/// `seed` is the one that Dropout draws from. Training mode matters to BatchNorm and Dropout only.
Tensor<double> forward(const Op& op, std::span<const Tensor<double>> in, Mode mode, std::uint64_t seed);

/// Element (n, h, w, c) of a tensor.
inline double at(const Tensor<double>& t, int n, int h, int w, int c) {
  const Shape& s = t.shape();
  return t[((std::int64_t{n} * s.h + h) * s.w + w) * s.c + c];
}

/// A tensor filled from a function of its four indices.
template <class F>
Tensor<double> make(Shape s, F f) {
  Tensor<double> t(s);
  std::int64_t i = 0;
  for (int n = 0; n < s.n; ++n) {
    for (int h = 0; h < s.h; ++h) {
      for (int w = 0; w < s.w; ++w) {
        for (int c = 0; c < s.c; ++c) t[i++] = f(n, h, w, c);
      }
    }
  }
  return t;
}

// The references of convolutions and matrix products, in convolution.cpp.
Tensor<double> forward(const Conv2d& op, std::span<const Tensor<double>> in);
Tensor<double> forward(const ConvTranspose2d& op, std::span<const Tensor<double>> in);
Tensor<double> forward(const Linear& op, std::span<const Tensor<double>> in);
/// In resize.cpp.
Tensor<double> forward(const Resize& op, std::span<const Tensor<double>> in);

}  // namespace binade::reference
