// MaxPool, AvgPool and GlobalAvgPool.
#include <type_traits>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

/// Extent of a pooled axis. ceil_mode keeps a last, partial window unless it starts in the padding after the image.
int pooled_extent(int extent, int kernel, int stride, int before, int after, bool ceil_mode) {
  const int room = extent + before + after - kernel;
  if (room < 0) return 0;
  int out = (ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
  if (ceil_mode && (out - 1) * stride >= extent + before) --out;
  return out;
}

template <class P>
Shape pooled_shape(const P& op, std::span<const Shape> in) {
  detail::expect_inputs(P::name, in, 1, 1);
  const std::string described = to_string(Op{op});
  if (op.kernel_h < 1 || op.kernel_w < 1 || op.stride_h < 1 || op.stride_w < 1) {
    throw DataError(described + ": kernel and stride must be at least 1");
  }
  const auto bad_pad = [](int pad, int kernel) { return pad < 0 || pad >= kernel; };
  if (bad_pad(op.pad_top, op.kernel_h) || bad_pad(op.pad_bottom, op.kernel_h) || bad_pad(op.pad_left, op.kernel_w) ||
      bad_pad(op.pad_right, op.kernel_w)) {
    throw DataError(described + ": padding must be at least 0 and less than the kernel, else a window is all padding");
  }
  const int h = pooled_extent(in[0].h, op.kernel_h, op.stride_h, op.pad_top, op.pad_bottom, op.ceil_mode);
  const int w = pooled_extent(in[0].w, op.kernel_w, op.stride_w, op.pad_left, op.pad_right, op.ceil_mode);
  if (h < 1 || w < 1) {
    throw DataError(described + ": the window is larger than the padded image of shape " + to_string(in[0]));
  }
  return {in[0].n, h, w, in[0].c};
}

/// The part of a window that lies in the image.
struct Window {
  int top, bottom, left, right;  // [top, bottom) x [left, right)
};

template <class P>
Window window_of(const P& op, const Shape& in, int oy, int ox) {
  const int y = oy * op.stride_h - op.pad_top, x = ox * op.stride_w - op.pad_left;
  return {std::max(y, 0), std::min(y + op.kernel_h, in.h), std::max(x, 0), std::min(x + op.kernel_w, in.w)};
}

/// The divisor of an average: the window's pixels in the image, or also those in the padding, but never those that a
/// partial last window has beyond the padding.
int divisor_of(const AvgPool& op, const Shape& in, int oy, int ox) {
  const Window window = window_of(op, in, oy, ox);
  if (!op.count_include_pad) return (window.bottom - window.top) * (window.right - window.left);
  const int y = oy * op.stride_h - op.pad_top, x = ox * op.stride_w - op.pad_left;
  return (std::min(y + op.kernel_h, in.h + op.pad_bottom) - y) * (std::min(x + op.kernel_w, in.w + op.pad_right) - x);
}

/// Calls body(taps, oy, ox, y) for every output pixel: the channel vectors of its window, and its own.
template <class T, class P, class Body>
void for_windows(const P& op, const Forward<T>& f, Body body) {
  const Shape &in = f.in[0].shape, &out = f.out.shape;
  const std::int64_t area = std::int64_t{op.kernel_h} * op.kernel_w;
  parallel_for(out.pixels(), detail::rows_per_chunk(out.c * area), [&](std::int64_t begin, std::int64_t end) {
    std::vector<const T*> taps;
    taps.reserve(static_cast<std::size_t>(area));
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t n = p / (std::int64_t{out.h} * out.w);
      const int oy = static_cast<int>(p / out.w % out.h), ox = static_cast<int>(p % out.w);
      const Window window = window_of(op, in, oy, ox);
      taps.clear();
      for (int iy = window.top; iy < window.bottom; ++iy) {
        for (int ix = window.left; ix < window.right; ++ix) {
          taps.push_back(f.in[0].data + ((n * in.h + iy) * in.w + ix) * in.c);
        }
      }
      body(taps, oy, ox, f.out.data + p * out.c);
    }
  });
}

constexpr int kChannelBlock = 32;

/// Calls body(n, first_channel, last_channel) in parallel: windows overlap in space, but never across channels.
template <class Body>
void for_channel_blocks(const Shape& shape, Body body) {
  const int blocks = (shape.c + kChannelBlock - 1) / kChannelBlock;
  parallel_for(std::int64_t{shape.n} * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int first = static_cast<int>(i % blocks) * kChannelBlock;
      body(i / blocks, first, std::min(first + kChannelBlock, shape.c));
    }
  });
}

/// Where x is y, dx gets what waits. A count that the compiler knows, kCount, lets it use vectors.
template <int kCount, class T>
void give_to_largest(const T* x, const T* y, int count, T* __restrict waiting, T* __restrict dx) {
  const int n = kCount > 0 ? kCount : count;
  for (int c = 0; c < n; ++c) {
    const T given = x[c] == y[c] ? waiting[c] : T(0);
    dx[c] += given;
    waiting[c] -= given;
  }
}

}  // namespace

Shape infer_op(const MaxPool& op, std::span<const Shape> in) {
  return pooled_shape(op, in);
}

template <class T>
void forward_op(const MaxPool& op, const Forward<T>& f) {
  const std::int64_t c = f.out.shape.c;
  for_windows(op, f, [&](const std::vector<const T*>& taps, int, int, T* y) {
    if constexpr (std::is_same_v<T, float>) {
      simd::elementwise().max_taps(taps.data(), static_cast<std::int64_t>(taps.size()), y, c);
    } else {
      std::copy_n(taps[0], c, y);
      for (const T* x : taps) {
        for (std::int64_t i = 0; i < c; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
      }
    }
  });
}

template <class T>
void backward_op(const MaxPool& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        const Window window = window_of(op, in, oy, ox);
        const std::int64_t pixel = ((n * out.h + oy) * out.w + ox) * out.c + first;
        T waiting[kChannelBlock];  // what the first of the largest gets
        std::copy_n(b.dout.data + pixel, last - first, waiting);
        const T* y = b.out.data + pixel;
        for (int iy = window.top; iy < window.bottom; ++iy) {
          for (int ix = window.left; ix < window.right; ++ix) {
            const std::int64_t at = ((n * in.h + iy) * in.w + ix) * in.c + first;
            const T* x = b.in[0].data + at;
            T* dx = b.din[0].data + at;
            if (last - first == kChannelBlock) {
              give_to_largest<kChannelBlock>(x, y, kChannelBlock, waiting, dx);
            } else {
              give_to_largest<0>(x, y, last - first, waiting, dx);
            }
          }
        }
      }
    }
  });
}

Shape infer_op(const AvgPool& op, std::span<const Shape> in) {
  return pooled_shape(op, in);
}

template <class T>
void forward_op(const AvgPool& op, const Forward<T>& f) {
  const Shape& in = f.in[0].shape;
  const std::int64_t c = in.c;
  for_windows(op, f, [&](const std::vector<const T*>& taps, int oy, int ox, T* y) {
    const T divisor = static_cast<T>(divisor_of(op, in, oy, ox));
    if constexpr (std::is_same_v<T, float>) {
      simd::elementwise().mean_taps(taps.data(), static_cast<std::int64_t>(taps.size()), divisor, y, c);
    } else {
      std::fill_n(y, c, T(0));
      for (const T* x : taps) {
        for (std::int64_t i = 0; i < c; ++i) y[i] += x[i];
      }
      for (std::int64_t i = 0; i < c; ++i) y[i] /= divisor;
    }
  });
}

template <class T>
void backward_op(const AvgPool& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        const Window window = window_of(op, in, oy, ox);
        const T* dy = b.dout.data + ((n * out.h + oy) * out.w + ox) * out.c;
        const T divisor = static_cast<T>(divisor_of(op, in, oy, ox));
        for (int iy = window.top; iy < window.bottom; ++iy) {
          for (int ix = window.left; ix < window.right; ++ix) {
            T* dx = b.din[0].data + ((n * in.h + iy) * in.w + ix) * in.c;
            for (int c = first; c < last; ++c) dx[c] += dy[c] / divisor;
          }
        }
      }
    }
  });
}

Shape infer_op(const GlobalAvgPool&, std::span<const Shape> in) {
  detail::expect_inputs(GlobalAvgPool::name, in, 1, 1);
  return {in[0].n, 1, 1, in[0].c};
}

// Sums are kept in double: a plane may have many thousand pixels.
template <class T>
void forward_op(const GlobalAvgPool&, const Forward<T>& f) {
  const Shape& in = f.in[0].shape;
  const std::int64_t plane = std::int64_t{in.h} * in.w;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    double sums[kChannelBlock] = {};
    const T* x = f.in[0].data + n * plane * in.c;
    if constexpr (std::is_same_v<T, float>) {
      simd::elementwise().column_sums(x + first, plane, in.c, last - first, sums);
    } else {
      for (std::int64_t p = 0; p < plane; ++p) {
        for (int c = first; c < last; ++c) sums[c - first] += x[p * in.c + c];
      }
    }
    for (int c = first; c < last; ++c) {
      f.out.data[n * in.c + c] = static_cast<T>(sums[c - first] / static_cast<double>(plane));
    }
  });
}

template <class T>
void backward_op(const GlobalAvgPool&, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Shape& in = b.in[0].shape;
  const std::int64_t plane = std::int64_t{in.h} * in.w;
  const T divisor = static_cast<T>(plane);
  parallel_for(in.pixels(), detail::rows_per_chunk(in.c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* dy = b.dout.data + p / plane * in.c;
      T* dx = b.din[0].data + p * in.c;
      for (int c = 0; c < in.c; ++c) dx[c] += dy[c] / divisor;
    }
  });
}

template struct Functions<MaxPool>;
template struct Functions<AvgPool>;
template struct Functions<GlobalAvgPool>;

}  // namespace binade
