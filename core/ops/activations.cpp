// Piecewise linear activations: ReLU, clip, leaky and parametric ReLU.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

Shape one_input(std::string_view op, std::span<const Shape> in) {
  detail::expect_inputs(op, in, 1, 1);
  return in[0];
}

/// y = min(max(x, lo), hi); a NaN stays, so that it is seen at the end.
template <class T>
void clip_all(const Forward<T>& f, T lo, T hi) {
  if constexpr (std::is_same_v<T, float>) {
    parallel_for(f.out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
      simd::clip(f.in[0].data + begin, f.out.data + begin, end - begin, lo, hi);
    });
  } else {
    detail::map(f, [=](T x) {
      const T y = lo > x ? lo : x;
      return hi < y ? hi : y;
    });
  }
}

}  // namespace

Shape infer_op(const Relu&, std::span<const Shape> in) {
  return one_input(Relu::name, in);
}

template <class T>
void forward_op(const Relu&, const Forward<T>& f) {
  clip_all(f, T(0), std::numeric_limits<T>::infinity());
}

template <class T>
void backward_op(const Relu&, const Backward<T>& b) {
  detail::map_gradient(b, [](T x, T dy) { return x > T(0) ? dy : T(0); });
}

Shape infer_op(const Clip& op, std::span<const Shape> in) {
  if (!(op.lo <= op.hi)) {
    throw DataError("Clip: the lower limit " + std::to_string(op.lo) + " is above the upper limit " +
                    std::to_string(op.hi));
  }
  return one_input(Clip::name, in);
}

template <class T>
void forward_op(const Clip& op, const Forward<T>& f) {
  clip_all(f, static_cast<T>(op.lo), static_cast<T>(op.hi));
}

template <class T>
void backward_op(const Clip& op, const Backward<T>& b) {
  const T low = static_cast<T>(op.lo), high = static_cast<T>(op.hi);
  detail::map_gradient(b, [=](T x, T dy) { return low < x && x < high ? dy : T(0); });
}

Shape infer_op(const LeakyRelu& op, std::span<const Shape> in) {
  if (op.slope_bits != 0 && (op.slope_bits < 2 || op.slope_bits > 16)) {
    throw DataError("LeakyRelu: slope_bits is " + std::to_string(op.slope_bits) + ", wanted 0 or 2 to 16");
  }
  return one_input(LeakyRelu::name, in);
}

QuantSpec LeakyRelu::slope_spec() const {
  return spec_for_clip(std::abs(slope), slope_bits, true);
}

double LeakyRelu::effective_slope() const {
  return slope_bits == 0 ? slope : fake_quantize(slope, slope_spec(), Rounding::half_away);
}

template <class T>
void forward_op(const LeakyRelu& op, const Forward<T>& f) {
  detail::map(f, [s = static_cast<T>(op.effective_slope())](T x) { return x >= T(0) ? x : s * x; });
}

template <class T>
void backward_op(const LeakyRelu& op, const Backward<T>& b) {
  detail::map_gradient(b, [s = static_cast<T>(op.effective_slope())](T x, T dy) { return x >= T(0) ? dy : s * dy; });
}

Shape infer_op(const PRelu&, std::span<const Shape> in) {
  detail::expect_inputs(PRelu::name, in, 2, 2);
  if (in[1] != channel_shape(1)) detail::expect_vector(PRelu::name, "the slope", in[1], in[0].c);
  return in[0];
}

namespace {

/// Calls body(first, count, slopes) for stretches of the elements of pixels [begin, end), with a slope for each
/// element: long enough for vectors however few the channels are.
template <class T, class Body>
void with_slopes(std::int64_t pixels, View<const T> slope, std::int64_t c, const Body& body) {
  const std::int64_t repeats = std::max<std::int64_t>(1, 256 / c), stretch = repeats * c;
  std::vector<T> slopes(static_cast<std::size_t>(stretch));
  for (std::int64_t i = 0; i < stretch; ++i) {
    slopes[static_cast<std::size_t>(i)] = slope.data[slope.shape.c == 1 ? 0 : i % c];
  }
  parallel_for(pixels, detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin * c; at < end * c; at += stretch) {
      body(at, std::min(stretch, end * c - at), slopes.data());
    }
  });
}

}  // namespace

// No branches inside: signs of activations are as good as random.
template <class T>
void forward_op(const PRelu&, const Forward<T>& f) {
  with_slopes(f.out.shape.pixels(), f.in[1], f.out.shape.c,
              [x = f.in[0].data, y = f.out.data](std::int64_t first, std::int64_t count, const T* slopes) {
                const T* from = x + first;
                T* to = y + first;
                for (std::int64_t i = 0; i < count; ++i) {
                  const T v = from[i];
                  const T positive = v < T(0) ? T(0) : v, negative = v < T(0) ? v : T(0);  // a NaN stays
                  to[i] = positive + slopes[i] * negative;
                }
              });
}

template <class T>
void backward_op(const PRelu&, const Backward<T>& b) {
  const std::int64_t c = b.dout.shape.c, slopes = b.in[1].shape.c;
  const T *x = b.in[0].data, *dy = b.dout.data;
  if (T* dx = b.din[0].data) {
    with_slopes(b.dout.shape.pixels(), b.in[1], c, [&](std::int64_t first, std::int64_t count, const T* slope) {
      const T *from = x + first, *gradient = dy + first;
      T* to = dx + first;
      for (std::int64_t i = 0; i < count; ++i) {
        const T factor = from[i] < T(0) ? slope[i] : T(1);
        to[i] += factor * gradient[i];
      }
    });
  }
  if (T* dslope = b.din[1].data) {
    const auto sums =
        detail::pixel_sums(b.dout.shape.pixels(), c, [&](std::int64_t begin, std::int64_t end, double* s) {
          for (std::int64_t p = begin; p < end; ++p) {
            const T *from = x + p * c, *gradient = dy + p * c;
            for (std::int64_t i = 0; i < c; ++i) {
              const T negative = from[i] < T(0) ? from[i] : T(0);
              s[i] += static_cast<double>(negative) * static_cast<double>(gradient[i]);
            }
          }
        });
    if (slopes == c) {
      for (std::int64_t i = 0; i < c; ++i) dslope[i] += static_cast<T>(sums[static_cast<std::size_t>(i)]);
    } else {
      double total = 0;
      for (const double s : sums) total += s;
      dslope[0] += static_cast<T>(total);
    }
  }
}

template struct Functions<Relu>;
template struct Functions<Clip>;
template struct Functions<LeakyRelu>;
template struct Functions<PRelu>;

}  // namespace binade
