// The depthwise kernels, written once for a vector type V and compiled once per instruction set.
//
// V is one of vector_*.hpp. All functions here are local to the including file.
#pragma once

#include "core/ops/simd/depthwise.hpp"

namespace binade::simd {
namespace {

constexpr int kBlock = 4;  // vectors of channels that a single pixel is worked on with: hides the latency of FMA

inline int ceil_div(int a, int b) {
  return a >= 0 ? (a + b - 1) / b : -(-a / b);
}
inline int min_of(int a, int b) {
  return a < b ? a : b;
}
inline int max_of(int a, int b) {
  return a > b ? a : b;
}

/// Indices o with 0 <= o * stride + offset < extent, o < count.
struct Range {
  int begin, end;
};
inline Range inside(int offset, int stride, int extent, int count) {
  const int begin = max_of(0, ceil_div(-offset, stride));
  return {begin, max_of(begin, min_of(count, ceil_div(extent - offset, stride)))};
}

/// Calls full<vectors>(c) for blocks of channels, widest first, and part(c, n) for what is left of a vector.
template <class V, class Full, class Part>
inline void for_each_block(int channels, Full&& full, Part&& part) {
  int c = 0;
  for (; c + kBlock * V::width <= channels; c += kBlock * V::width) full.template operator()<kBlock>(c);
  for (; c + V::width <= channels; c += V::width) full.template operator()<1>(c);
  if (c < channels) part(c, channels - c);
}

/// The taps of one output pixel that fall inside the image.
struct Window {
  Range rows, columns;
};

/// One pixel, any window: `kVectors` vectors of channels from c on, or the n channels that are left.
template <class V, int kVectors, bool kPart>
inline void forward_pixel(const DepthwiseShape& s, const DepthwiseForward& f, int oy, int ox, Window taps, int c,
                          int n) {
  typename V::Reg acc[1][kVectors];
  for (int v = 0; v < kVectors; ++v) {
    acc[0][v] = f.b != nullptr ? load<V, kPart>(f.b + c + v * V::width, n) : V::set(0);
  }
  for (int i = taps.rows.begin; i < taps.rows.end; ++i) {
    const int iy = oy * s.stride_h - s.pad_top + i * s.dilation_h;
    for (int j = taps.columns.begin; j < taps.columns.end; ++j) {
      const int ix = ox * s.stride_w - s.pad_left + j * s.dilation_w;
      const float* x = f.x + (std::int64_t{iy} * s.iw + ix) * s.channels + c;
      const float* w = f.w + (i * s.kw + j) * s.channels + c;
      for (int v = 0; v < kVectors; ++v) {
        acc[0][v] = V::fma(load<V, kPart>(x + v * V::width, n), load<V, kPart>(w + v * V::width, n), acc[0][v]);
      }
    }
  }
  const std::int64_t offset = (std::int64_t{oy} * s.ow + ox) * s.channels + c;
  finish<V, 1, kVectors, kPart>(acc, f.epilogue, f.y, offset, s.channels, n);
}

template <class V>
inline void forward_pixels(const DepthwiseShape& s, const DepthwiseForward& f, int oy, Range rows, int begin, int end) {
  for (int ox = begin; ox < end; ++ox) {
    const Window taps{rows, inside(ox * s.stride_w - s.pad_left, s.dilation_w, s.iw, s.kw)};
    for_each_block<V>(
        s.channels, [&]<int kVectors>(int c) { forward_pixel<V, kVectors, false>(s, f, oy, ox, taps, c, 0); },
        [&](int c, int n) { forward_pixel<V, 1, true>(s, f, oy, ox, taps, c, n); });
  }
}

/// kPixels neighbours of a row whose windows have all columns inside: each column is loaded once for all of them.
template <class V, int kKernel, int kStride, int kPixels, bool kPart>
inline void forward_tile(const DepthwiseShape& s, const DepthwiseForward& f, int oy, int ox, Range rows, int c, int n) {
  typename V::Reg acc[kPixels][1];
  const typename V::Reg start = f.b != nullptr ? load<V, kPart>(f.b + c, n) : V::set(0);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) acc[p][0] = start;
  const int ix = ox * kStride - s.pad_left;
  for (int i = rows.begin; i < rows.end; ++i) {
    const int iy = oy * s.stride_h - s.pad_top + i * s.dilation_h;
    const float* x = f.x + (std::int64_t{iy} * s.iw + ix) * s.channels + c;
    const float* w = f.w + i * kKernel * s.channels + c;
    typename V::Reg kernel[kKernel];
#pragma GCC unroll 8
    for (int j = 0; j < kKernel; ++j) kernel[j] = load<V, kPart>(w + j * s.channels, n);
#pragma GCC unroll 32
    for (int column = 0; column < (kPixels - 1) * kStride + kKernel; ++column) {
      const typename V::Reg value = load<V, kPart>(x + std::int64_t{column} * s.channels, n);
#pragma GCC unroll 8
      for (int j = kKernel - 1; j >= 0; --j) {
        const int from = column - j;
        if (from >= 0 && from % kStride == 0 && from / kStride < kPixels) {
          acc[from / kStride][0] = V::fma(value, kernel[j], acc[from / kStride][0]);
        }
      }
    }
  }
  const std::int64_t offset = (std::int64_t{oy} * s.ow + ox) * s.channels + c;
  finish<V, kPixels, 1, kPart>(acc, f.epilogue, f.y, offset, s.channels, n);
}

template <class V, int kKernel, int kStride, int kPixels>
inline int forward_tiles(const DepthwiseShape& s, const DepthwiseForward& f, int oy, Range rows, int ox, int end) {
  for (; ox + kPixels <= end; ox += kPixels) {
    int c = 0;
    for (; c + V::width <= s.channels; c += V::width) {
      forward_tile<V, kKernel, kStride, kPixels, false>(s, f, oy, ox, rows, c, 0);
    }
    if (c < s.channels) forward_tile<V, kKernel, kStride, kPixels, true>(s, f, oy, ox, rows, c, s.channels - c);
  }
  return ox;
}

/// The output columns whose windows are inside the image.
inline Range interior(const DepthwiseShape& s) {
  const Range first = inside(-s.pad_left, s.stride_w, s.iw, s.ow);
  const Range last = inside((s.kw - 1) * s.dilation_w - s.pad_left, s.stride_w, s.iw, s.ow);
  return {first.begin, max_of(first.begin, last.end)};
}

template <class V, int kKernel, int kStride>
inline void forward_row(const DepthwiseShape& s, const DepthwiseForward& f, int oy, Range rows, Range columns) {
  forward_pixels<V>(s, f, oy, rows, 0, columns.begin);
  int ox = forward_tiles<V, kKernel, kStride, V::kPixels>(s, f, oy, rows, columns.begin, columns.end);
  ox = forward_tiles<V, kKernel, kStride, 4>(s, f, oy, rows, ox, columns.end);
  ox = forward_tiles<V, kKernel, kStride, 2>(s, f, oy, rows, ox, columns.end);
  forward_pixels<V>(s, f, oy, rows, ox, s.ow);
}

template <class V>
void forward(const DepthwiseShape& s, const DepthwiseForward& f) {
  const Range columns = interior(s);
  const bool plain = s.dilation_w == 1 && (s.kw == 3 || s.kw == 5) && (s.stride_w == 1 || s.stride_w == 2);
  const int kind = plain ? s.kw * 10 + s.stride_w : 0;
  for (int oy = f.row_begin; oy < f.row_end; ++oy) {
    const Range rows = inside(oy * s.stride_h - s.pad_top, s.dilation_h, s.ih, s.kh);
    switch (kind) {
      case 31: forward_row<V, 3, 1>(s, f, oy, rows, columns); break;
      case 32: forward_row<V, 3, 2>(s, f, oy, rows, columns); break;
      case 51: forward_row<V, 5, 1>(s, f, oy, rows, columns); break;
      case 52: forward_row<V, 5, 2>(s, f, oy, rows, columns); break;
      default: forward_pixels<V>(s, f, oy, rows, 0, s.ow);
    }
  }
}

/// dx at one pixel gathers the outputs whose windows hold it.
template <class V, int kVectors, bool kPart>
inline void backward_pixel(const DepthwiseShape& s, const DepthwiseBackwardData& b, int iy, int ix, int c, int n) {
  float* dx = b.dx + (std::int64_t{iy} * s.iw + ix) * s.channels + c;
  typename V::Reg acc[kVectors];
  for (int v = 0; v < kVectors; ++v) acc[v] = b.add ? load<V, kPart>(dx + v * V::width, n) : V::set(0);
  for (int i = 0; i < s.kh; ++i) {
    const int y = iy + s.pad_top - i * s.dilation_h;
    if (y < 0 || y % s.stride_h != 0 || y / s.stride_h >= s.oh) continue;
    for (int j = 0; j < s.kw; ++j) {
      const int x = ix + s.pad_left - j * s.dilation_w;
      if (x < 0 || x % s.stride_w != 0 || x / s.stride_w >= s.ow) continue;
      const float* dy = b.dy + (std::int64_t{y / s.stride_h} * s.ow + x / s.stride_w) * s.channels + c;
      const float* w = b.w + (i * s.kw + j) * s.channels + c;
      for (int v = 0; v < kVectors; ++v) {
        acc[v] = V::fma(load<V, kPart>(dy + v * V::width, n), load<V, kPart>(w + v * V::width, n), acc[v]);
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) store<V, kPart>(dx + v * V::width, n, acc[v]);
}

template <class V>
inline void backward_pixels(const DepthwiseShape& s, const DepthwiseBackwardData& b, int iy, int begin, int end) {
  for (int ix = begin; ix < end; ++ix) {
    for_each_block<V>(
        s.channels, [&]<int kVectors>(int c) { backward_pixel<V, kVectors, false>(s, b, iy, ix, c, 0); },
        [&](int c, int n) { backward_pixel<V, 1, true>(s, b, iy, ix, c, n); });
  }
}

/// Stride 1: kPixels neighbours of a row of dx, each column of dy loaded once.
template <class V, int kKernel, int kPixels, bool kPart>
inline void backward_tile(const DepthwiseShape& s, const DepthwiseBackwardData& b, int iy, int ix, int c, int n) {
  float* dx = b.dx + (std::int64_t{iy} * s.iw + ix) * s.channels + c;
  typename V::Reg acc[kPixels];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
    acc[p] = b.add ? load<V, kPart>(dx + std::int64_t{p} * s.channels, n) : V::set(0);
  }
  for (int i = 0; i < s.kh; ++i) {
    const int oy = iy + s.pad_top - i * s.dilation_h;
    if (oy < 0 || oy >= s.oh) continue;
    const float* dy = b.dy + (std::int64_t{oy} * s.ow + ix + s.pad_left - (kKernel - 1)) * s.channels + c;
    const float* w = b.w + i * kKernel * s.channels + c;
    typename V::Reg kernel[kKernel];
#pragma GCC unroll 8
    for (int j = 0; j < kKernel; ++j) kernel[j] = load<V, kPart>(w + j * s.channels, n);
#pragma GCC unroll 32
    for (int column = 0; column < kPixels + kKernel - 1; ++column) {
      const typename V::Reg value = load<V, kPart>(dy + std::int64_t{column} * s.channels, n);
#pragma GCC unroll 8
      for (int j = 0; j < kKernel; ++j) {
        const int pixel = column + j - (kKernel - 1);
        if (pixel >= 0 && pixel < kPixels) acc[pixel] = V::fma(value, kernel[j], acc[pixel]);
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) store<V, kPart>(dx + std::int64_t{p} * s.channels, n, acc[p]);
}

template <class V, int kKernel>
inline void backward_row(const DepthwiseShape& s, const DepthwiseBackwardData& b, int iy) {
  // Columns ix whose outputs ix + pad_left - j all exist.
  const int begin = min_of(s.iw, max_of(0, kKernel - 1 - s.pad_left));
  const int end = max_of(begin, min_of(s.iw, s.ow - s.pad_left));
  backward_pixels<V>(s, b, iy, 0, begin);
  int ix = begin;
  for (; ix + V::kPixels <= end; ix += V::kPixels) {
    int c = 0;
    for (; c + V::width <= s.channels; c += V::width) backward_tile<V, kKernel, V::kPixels, false>(s, b, iy, ix, c, 0);
    if (c < s.channels) backward_tile<V, kKernel, V::kPixels, true>(s, b, iy, ix, c, s.channels - c);
  }
  backward_pixels<V>(s, b, iy, ix, s.iw);
}

template <class V>
void backward_data(const DepthwiseShape& s, const DepthwiseBackwardData& b) {
  const bool plain = s.dilation_w == 1 && s.stride_w == 1 && s.stride_h == 1;
  for (int iy = b.row_begin; iy < b.row_end; ++iy) {
    if (plain && s.kw == 3) {
      backward_row<V, 3>(s, b, iy);
    } else if (plain && s.kw == 5) {
      backward_row<V, 5>(s, b, iy);
    } else {
      backward_pixels<V>(s, b, iy, 0, s.iw);
    }
  }
}

/// dw of kTaps taps of one row of the kernel, from one row of dy, where all of them are inside the image.
template <class V, int kTaps, int kVectors, bool kPart>
inline void weights_row(const DepthwiseShape& s, const float* x, const float* dy, float* dw, Range columns, int n) {
  typename V::Reg acc[kTaps][kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kTaps; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[j][v] = load<V, kPart>(dw + j * s.channels + v * V::width, n);
  }
  for (int ox = columns.begin; ox < columns.end; ++ox) {
    const float* gradient = dy + std::int64_t{ox} * s.channels;
    const float* value = x + std::int64_t{ox} * s.stride_w * s.channels;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const typename V::Reg g = load<V, kPart>(gradient + v * V::width, n);
#pragma GCC unroll 8
      for (int j = 0; j < kTaps; ++j) {
        const float* at = value + std::int64_t{j} * s.dilation_w * s.channels + v * V::width;
        acc[j][v] = V::fma(load<V, kPart>(at, n), g, acc[j][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kTaps; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store<V, kPart>(dw + j * s.channels + v * V::width, n, acc[j][v]);
  }
}

/// dw += for taps [tap, tap + kTaps) over all channels; `x` is at the column that tap `tap` of output 0 sees.
template <class V, int kTaps>
inline void weights_taps(const DepthwiseShape& s, const float* x, const float* dy, float* dw, Range columns) {
  if (columns.begin >= columns.end) return;
  constexpr int kVectors = kTaps == 1 ? 4 : V::kWeightVectors;
  int c = 0;
  for (; c + kVectors * V::width <= s.channels; c += kVectors * V::width) {
    weights_row<V, kTaps, kVectors, false>(s, x + c, dy + c, dw + c, columns, 0);
  }
  for (; c + V::width <= s.channels; c += V::width) {
    weights_row<V, kTaps, 1, false>(s, x + c, dy + c, dw + c, columns, 0);
  }
  if (c < s.channels) weights_row<V, kTaps, 1, true>(s, x + c, dy + c, dw + c, columns, s.channels - c);
}

template <class V, int kKernel>
inline void weights_kernel_row(const DepthwiseShape& s, const float* x, const float* dy, float* dw, Range all) {
  weights_taps<V, kKernel>(s, x, dy, dw, all);
  for (int j = 0; j < kKernel; ++j) {  // the columns near the border that this tap sees and others do not
    const Range mine = inside(j * s.dilation_w - s.pad_left, s.stride_w, s.iw, s.ow);
    const float* at = x + std::int64_t{j} * s.dilation_w * s.channels;
    weights_taps<V, 1>(s, at, dy, dw + j * s.channels, {mine.begin, min_of(mine.end, all.begin)});
    weights_taps<V, 1>(s, at, dy, dw + j * s.channels, {max_of(mine.begin, all.end), mine.end});
  }
}

template <class V>
void backward_weights(const DepthwiseShape& s, const DepthwiseBackwardWeights& b) {
  const Range all = interior(s);
  for (int oy = 0; oy < s.oh; ++oy) {
    const float* dy = b.dy + std::int64_t{oy} * s.ow * s.channels;
    const Range rows = inside(oy * s.stride_h - s.pad_top, s.dilation_h, s.ih, s.kh);
    for (int i = rows.begin; i < rows.end; ++i) {
      const int iy = oy * s.stride_h - s.pad_top + i * s.dilation_h;
      const float* x = b.x + (std::int64_t{iy} * s.iw - s.pad_left) * s.channels;
      float* dw = b.dw + i * s.kw * s.channels;
      if (s.kw == 3) {
        weights_kernel_row<V, 3>(s, x, dy, dw, all);
      } else if (s.kw == 5) {
        weights_kernel_row<V, 5>(s, x, dy, dw, all);
      } else {
        for (int j = 0; j < s.kw; ++j) {
          const Range mine = inside(j * s.dilation_w - s.pad_left, s.stride_w, s.iw, s.ow);
          weights_taps<V, 1>(s, x + std::int64_t{j} * s.dilation_w * s.channels, dy, dw + j * s.channels, mine);
        }
      }
    }
  }
}

}  // namespace
}  // namespace binade::simd
