// Depthwise float convolution of one geometry: weights packed for the kernels of this CPU.
#pragma once

#include "core/base/tensor.hpp"
#include "core/ops/conv_geometry.hpp"
#include "core/ops/simd/depthwise.hpp"

namespace binade {

/// `pack` is called by one thread; the others may run on many threads at once, each with images of its own.
class DepthwiseConv {
 public:
  explicit DepthwiseConv(const ConvGeometry& g);

  /// w {c, kh, kw, 1} -> {kh, kw, c}.
  void pack(const float* w);
  /// One image; y is overwritten.
  void forward(const float* x, const float* b, float* y, const simd::Epilogue& epilogue) const;
  /// dx += gradient; with `fresh`, dx = gradient.
  void backward_data(const float* dy, float* dx, bool fresh) const;
  /// dw {c, kh, kw, 1} = the gradient summed over `images` images.
  void backward_weights(int images, const float* x, const float* dy, float* dw) const;

 private:
  simd::DepthwiseShape shape_;
  AlignedVector<float> weights_;
};

}  // namespace binade
