// MaxPool, AvgPool and GlobalAvgPool.
#include <limits>

#include "core/ops/detail.hpp"

namespace binade {
namespace {

/// Extent of a pooled axis. ceil_mode keeps a last, partial window unless it starts in the padding behind the image.
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

/// Calls body(n, oy, ox) for every output pixel, in chunks of pixels.
template <class Body>
void for_output_pixels(const Shape& out, int taps, Body body) {
  parallel_for(
      out.pixels(), detail::rows_per_chunk(std::int64_t{out.c} * taps), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t p = begin; p < end; ++p) {
          body(p / (std::int64_t{out.h} * out.w), static_cast<int>(p / out.w % out.h), static_cast<int>(p % out.w));
        }
      });
}

/// Calls body(n, first_channel, last_channel) in parallel: windows overlap in space, but never across channels.
template <class Body>
void for_channel_blocks(const Shape& shape, Body body) {
  constexpr int kBlock = 32;
  const int blocks = (shape.c + kBlock - 1) / kBlock;
  parallel_for(std::int64_t{shape.n} * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const int first = static_cast<int>(i % blocks) * kBlock;
      body(i / blocks, first, std::min(first + kBlock, shape.c));
    }
  });
}

}  // namespace

Shape MaxPool::infer(std::span<const Shape> in) const {
  return pooled_shape(*this, in);
}

template <class T>
void MaxPool::forward(const Forward<T>& f) const {
  const Shape &in = f.in[0].shape, &out = f.out.shape;
  for_output_pixels(out, kernel_h * kernel_w, [&](std::int64_t n, int oy, int ox) {
    const Window window = window_of(*this, in, oy, ox);
    T* y = f.out.data + ((n * out.h + oy) * out.w + ox) * out.c;
    std::fill_n(y, out.c, -std::numeric_limits<T>::infinity());
    for (int iy = window.top; iy < window.bottom; ++iy) {
      for (int ix = window.left; ix < window.right; ++ix) {
        const T* x = f.in[0].data + ((n * in.h + iy) * in.w + ix) * in.c;
        for (int c = 0; c < in.c; ++c) y[c] = x[c] > y[c] ? x[c] : y[c];
      }
    }
  });
}

template <class T>
void MaxPool::backward(const Backward<T>& b) const {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        const Window window = window_of(*this, in, oy, ox);
        for (int c = first; c < last; ++c) {
          std::int64_t best = ((n * in.h + window.top) * in.w + window.left) * in.c + c;
          for (int iy = window.top; iy < window.bottom; ++iy) {
            for (int ix = window.left; ix < window.right; ++ix) {
              const std::int64_t at = ((n * in.h + iy) * in.w + ix) * in.c + c;
              if (b.in[0].data[at] > b.in[0].data[best]) best = at;
            }
          }
          b.din[0].data[best] += b.dout.data[((n * out.h + oy) * out.w + ox) * out.c + c];
        }
      }
    }
  });
}

Shape AvgPool::infer(std::span<const Shape> in) const {
  return pooled_shape(*this, in);
}

template <class T>
void AvgPool::forward(const Forward<T>& f) const {
  const Shape &in = f.in[0].shape, &out = f.out.shape;
  for_output_pixels(out, kernel_h * kernel_w, [&](std::int64_t n, int oy, int ox) {
    const Window window = window_of(*this, in, oy, ox);
    T* y = f.out.data + ((n * out.h + oy) * out.w + ox) * out.c;
    std::fill_n(y, out.c, T(0));
    for (int iy = window.top; iy < window.bottom; ++iy) {
      for (int ix = window.left; ix < window.right; ++ix) {
        const T* x = f.in[0].data + ((n * in.h + iy) * in.w + ix) * in.c;
        for (int c = 0; c < in.c; ++c) y[c] += x[c];
      }
    }
    const T divisor = static_cast<T>(divisor_of(*this, in, oy, ox));
    for (int c = 0; c < in.c; ++c) y[c] /= divisor;
  });
}

template <class T>
void AvgPool::backward(const Backward<T>& b) const {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    for (int oy = 0; oy < out.h; ++oy) {
      for (int ox = 0; ox < out.w; ++ox) {
        const Window window = window_of(*this, in, oy, ox);
        const T* dy = b.dout.data + ((n * out.h + oy) * out.w + ox) * out.c;
        const T divisor = static_cast<T>(divisor_of(*this, in, oy, ox));
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

Shape GlobalAvgPool::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 1, 1);
  return {in[0].n, 1, 1, in[0].c};
}

// Sums are kept in double: a plane may have many thousand pixels.
template <class T>
void GlobalAvgPool::forward(const Forward<T>& f) const {
  const Shape& in = f.in[0].shape;
  const std::int64_t plane = std::int64_t{in.h} * in.w;
  for_channel_blocks(in, [&](std::int64_t n, int first, int last) {
    double sums[32] = {};
    for (std::int64_t p = n * plane; p < (n + 1) * plane; ++p) {
      const T* x = f.in[0].data + p * in.c;
      for (int c = first; c < last; ++c) sums[c - first] += static_cast<double>(x[c]);
    }
    for (int c = first; c < last; ++c) {
      f.out.data[n * in.c + c] = static_cast<T>(sums[c - first] / static_cast<double>(plane));
    }
  });
}

template <class T>
void GlobalAvgPool::backward(const Backward<T>& b) const {
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

template void MaxPool::forward(const Forward<float>&) const;
template void MaxPool::forward(const Forward<double>&) const;
template void MaxPool::backward(const Backward<float>&) const;
template void MaxPool::backward(const Backward<double>&) const;
template void AvgPool::forward(const Forward<float>&) const;
template void AvgPool::forward(const Forward<double>&) const;
template void AvgPool::backward(const Backward<float>&) const;
template void AvgPool::backward(const Backward<double>&) const;
template void GlobalAvgPool::forward(const Forward<float>&) const;
template void GlobalAvgPool::forward(const Forward<double>&) const;
template void GlobalAvgPool::backward(const Backward<float>&) const;
template void GlobalAvgPool::backward(const Backward<double>&) const;

}  // namespace binade
