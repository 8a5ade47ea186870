// The table of raw float kernels, one per instruction set; plain C types only, so that any file may include it.
#pragma once

#include <cstdint>

namespace binade::simd {

/// A quantization grid as a kernel wants it: y = min(max(round(x * scale), lo), hi) * inverse.
struct Grid {
  float scale, inverse;  ///< powers of two, exact reciprocals
  float lo, hi;          ///< whole codes of magnitude <= 2^24
  int rounding;          ///< 0 half up, 1 half away, 2 half even: the order of binade::Rounding
};

/// All kernels give the same bits on every instruction set. y may be x; other overlaps are not allowed. `stream` stores
/// past the caches, for results that are larger than these; it wants y aligned to 64 bytes and is ignored otherwise.
struct ElementwiseKernels {
  /// y = min(max(x, lo), hi); a NaN stays
  void (*clip)(const float* x, float* y, std::int64_t n, float lo, float hi);
  void (*add)(const float* a, const float* b, float* y, std::int64_t n);
  /// first clips to [clip_lo, clip_hi], then quantizes; infinite limits clip nothing
  void (*fake_quantize)(const float* x, float* y, std::int64_t n, const Grid& grid, float clip_lo, float clip_hi,
                        bool stream);
  /// y[p][c] = x[p][c] * scale[c] + shift[c], both roundings kept
  void (*scale_shift)(const float* x, const float* scale, const float* shift, float* y, std::int64_t pixels,
                      std::int64_t channels);
  /// y[c] = max over the taps' channel vectors
  void (*max_taps)(const float* const* taps, std::int64_t count, float* y, std::int64_t channels);
  /// y[c] = (((tap 0 + tap 1) + tap 2) + ...) / divisor
  void (*mean_taps)(const float* const* taps, std::int64_t count, float divisor, float* y, std::int64_t channels);
  /// sums[c] += x[0][c], x[1][c], ... in this order, in double; pixels are `stride` floats apart
  void (*column_sums)(const float* x, std::int64_t pixels, std::int64_t stride, std::int64_t channels, double* sums);
};

extern const ElementwiseKernels kElementwisePortable;
extern const ElementwiseKernels kElementwiseAvx2;
extern const ElementwiseKernels kElementwiseAvx512;

}  // namespace binade::simd
