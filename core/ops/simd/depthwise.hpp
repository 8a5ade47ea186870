// Depthwise convolution kernels in float: one image (or some of its rows), one variant per instruction set.
//
// This header is included by files that are compiled for one instruction set only: no standard library here.
#pragma once

#include <cstdint>

#include "core/ops/simd/epilogue.hpp"

namespace binade::simd {

/// y[oy, ox, c] = b[c] + sum_{i,j} x[oy * stride_h - pad_top + i * dilation_h, ..., c] * w[i, j, c]; x is {ih, iw,
/// channels}, y {oh, ow, channels}; w is packed {kh, kw, channels}. Every sum starts at b and takes the taps in order.
struct DepthwiseShape {
  int ih, iw, oh, ow, channels;
  int kh, kw, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
};

/// Rows [row_begin, row_end) of y, finished by the epilogue. b may be null.
struct DepthwiseForward {
  const float* x;
  const float* w;
  const float* b;
  float* y;
  Epilogue epilogue;
  int row_begin, row_end;
};

/// Rows [row_begin, row_end) of dx = gradient, or with `add` dx += gradient.
struct DepthwiseBackwardData {
  const float* dy;
  const float* w;
  float* dx;
  bool add;
  int row_begin, row_end;
};

/// dw {kh, kw, channels} += gradient over the whole image.
struct DepthwiseBackwardWeights {
  const float* x;
  const float* dy;
  float* dw;
};

struct DepthwiseKernels {
  void (*forward)(const DepthwiseShape&, const DepthwiseForward&);
  void (*backward_data)(const DepthwiseShape&, const DepthwiseBackwardData&);
  void (*backward_weights)(const DepthwiseShape&, const DepthwiseBackwardWeights&);
};

extern const DepthwiseKernels depthwise_portable;
extern const DepthwiseKernels depthwise_avx2;
extern const DepthwiseKernels depthwise_avx512;

/// The variant for this CPU.
const DepthwiseKernels& depthwise();

}  // namespace binade::simd
