// Products of codes of up to eight bits that end as floats, for processors with VNNI.
#pragma once

#include <cstddef>
#include <cstdint>

namespace binade::simd {

/// y[r][n] = bias[n] + scale * (start[n] + sum_k a[r][k] * w[n][k]), the sum in int32, rounded once after it.
/// @shape a: rows of 4 * quads bytes; w: {panels, quads, 16, 4}; start, bias: {panels, 16}; panels = ceil(channels /
/// 16)
struct CodeProduct {
  const std::uint8_t* a;
  std::ptrdiff_t a_stride;  ///< bytes
  int rows, quads, channels;
  const std::int8_t* w;
  const std::int32_t* start;
  const float* bias;
  float scale;
  float* y;
  std::ptrdiff_t y_stride;  ///< floats
};

struct CodeKernels {
  /// bytes[i] = x[i] * factor + zero, for x that make integers from 0 to 255. False if one of them is a NaN.
  bool (*to_bytes)(const float* x, std::int64_t n, float factor, int zero, std::uint8_t* bytes);
  void (*product)(const CodeProduct& product);
};

extern const CodeKernels codes_avx512;

/// For active_isa(); null where float arithmetic is as good.
const CodeKernels* codes();

}  // namespace binade::simd
