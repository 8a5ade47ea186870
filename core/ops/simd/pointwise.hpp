// 1x1 convolution (a matrix product over pixels) in float, one variant per instruction set.
//
// This header is included by files that are compiled for one instruction set only: no standard library here.
#pragma once

#include <cstdint>

#include "core/ops/simd/epilogue.hpp"

namespace binade::simd {

/// y[p, n] = b[n] + sum_k x[p, k] * w[n, k], then the epilogue. Every sum starts at b and takes k in order.
struct Pointwise {
  const float* x;  ///< {pixels, depth}
  const float* w;  ///< packed: {ceil(channels / width), depth, width}, zeros after the last channel
  const float* b;  ///< {channels} or null
  float* y;        ///< {pixels, channels}
  std::int64_t pixels;
  int depth, channels;
  Epilogue epilogue;
};

struct PointwiseKernels {
  int width;
  void (*run)(const Pointwise&);
  /// y[i] = the epilogue of x[i]; x may be y.
  void (*sweep)(const float* x, float* y, std::int64_t count, const Epilogue& epilogue);
};

extern const PointwiseKernels pointwise_portable;
extern const PointwiseKernels pointwise_avx2;
extern const PointwiseKernels pointwise_avx512;

/// The variant for this CPU.
const PointwiseKernels& pointwise();

}  // namespace binade::simd
