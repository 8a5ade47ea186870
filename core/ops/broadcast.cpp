// Add and Mul, with either operand stretched along axes where its extent is one.
#include <type_traits>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

Shape broadcast_shape(std::string_view op, std::span<const Shape> in) {
  detail::expect_inputs(op, in, 2, 2);
  const Shape &a = in[0], &b = in[1];
  const auto fits = [](int p, int q) { return p == q || p == 1 || q == 1; };
  if (!fits(a.n, b.n) || !fits(a.h, b.h) || !fits(a.w, b.w) || !fits(a.c, b.c)) {
    throw DataError(std::string(op) + ": shapes " + to_string(a) + " and " + to_string(b) +
                    " differ in an extent that is 1 in neither");
  }
  const auto joint = [](int p, int q) { return p == 1 ? q : p; };  // an extent of 0 stays 0
  return {joint(a.n, b.n), joint(a.h, b.h), joint(a.w, b.w), joint(a.c, b.c)};
}

/// Elements to advance per step on each axis of the result; 0 where the operand is stretched.
struct Strides {
  std::int64_t n, h, w, c;
  explicit Strides(const Shape& s)
      : n(s.n == 1 ? 0 : std::int64_t{s.h} * s.w * s.c),
        h(s.h == 1 ? 0 : std::int64_t{s.w} * s.c),
        w(s.w == 1 ? 0 : s.c),
        c(s.c == 1 ? 0 : 1) {}
  std::int64_t pixel(const Shape& out, std::int64_t p) const {
    return p / (std::int64_t{out.h} * out.w) * n + p / out.w % out.h * h + p % out.w * w;
  }
};

template <class T, class F>
void combine(const Forward<T>& args, F f) {
  const T *a = args.in[0].data, *b = args.in[1].data;
  T* y = args.out.data;
  const Shape& out = args.out.shape;
  if (args.in[0].shape == out && args.in[1].shape == out) {
    parallel_for(out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = f(a[i], b[i]);
    });
    return;
  }
  const Strides sa(args.in[0].shape), sb(args.in[1].shape);
  parallel_for(out.pixels(), detail::rows_per_chunk(out.c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T *pa = a + sa.pixel(out, p), *pb = b + sb.pixel(out, p);
      for (int i = 0; i < out.c; ++i) y[p * out.c + i] = f(pa[i * sa.c], pb[i * sb.c]);
    }
  });
}

/// dx[j] += the sum of dout * other over all elements of the result that read x[j], in their linear order.
/// `other` is null for a factor of one. Parallel over the elements of x, so that no two threads meet.
template <class T>
void gather(View<const T> dout, View<T> dx, const View<const T>* other) {
  const Shape &out = dout.shape, &x = dx.shape;
  const Strides so(out), sx(x), sf(other ? other->shape : out);
  const T* factor = other ? other->data : nullptr;
  const int n = x.n == out.n ? 1 : out.n, h = x.h == out.h ? 1 : out.h, w = x.w == out.w ? 1 : out.w,
            c = x.c == out.c ? 1 : out.c;
  const std::int64_t plane = std::int64_t{out.h} * out.w * out.c, row = std::int64_t{out.w} * out.c;
  const std::int64_t work = std::int64_t{n} * h * w * c;
  parallel_for(x.count(), detail::rows_per_chunk(work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      const std::int64_t jc = j % x.c, jw = j / x.c % x.w, jh = j / (std::int64_t{x.c} * x.w) % x.h,
                         jn = j / (std::int64_t{x.c} * x.w * x.h);
      double sum = 0;
      for (int in = 0; in < n; ++in) {
        for (int ih = 0; ih < h; ++ih) {
          for (int iw = 0; iw < w; ++iw) {
            const std::int64_t at = (jn + in) * plane + (jh + ih) * row + (jw + iw) * out.c + jc;
            const std::int64_t other_at = (jn + in) * sf.n + (jh + ih) * sf.h + (jw + iw) * sf.w + jc * sf.c;
            for (int ic = 0; ic < c; ++ic) {
              const double g = static_cast<double>(dout.data[at + ic]);
              sum += factor ? g * static_cast<double>(factor[other_at + ic * sf.c]) : g;
            }
          }
        }
      }
      dx.data[j] += static_cast<T>(sum);
    }
  });
}

}  // namespace

Shape infer_op(const Add&, std::span<const Shape> in) {
  return broadcast_shape(Add::name, in);
}

template <class T>
void forward_op(const Add&, const Forward<T>& f) {
  if constexpr (std::is_same_v<T, float>) {
    if (f.in[0].shape == f.in[1].shape) {
      parallel_for(f.out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
        simd::elementwise().add(f.in[0].data + begin, f.in[1].data + begin, f.out.data + begin, end - begin);
      });
      return;
    }
  }
  combine(f, [](T a, T b) { return a + b; });
}

template <class T>
void backward_op(const Add&, const Backward<T>& b) {
  for (std::size_t input = 0; input < 2; ++input) {
    const View<T>& dx = b.din[input];
    if (!dx) continue;
    if (dx.shape != b.dout.shape) {
      if (b.is_fresh(input)) std::fill_n(dx.data, dx.count(), T(0));
      gather<T>(b.dout, dx, nullptr);
      continue;
    }
    parallel_for(dx.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
      if (b.is_fresh(input)) {
        std::copy(b.dout.data + begin, b.dout.data + end, dx.data + begin);
      } else {
        for (std::int64_t i = begin; i < end; ++i) dx.data[i] += b.dout.data[i];
      }
    });
  }
}

Shape infer_op(const Mul&, std::span<const Shape> in) {
  return broadcast_shape(Mul::name, in);
}

template <class T>
void forward_op(const Mul&, const Forward<T>& f) {
  combine(f, [](T a, T b) { return a * b; });
}

template <class T>
void backward_op(const Mul&, const Backward<T>& b) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (b.din[i]) gather<T>(b.dout, b.din[i], &b.in[1 - i]);
  }
}

template struct Functions<Add>;
template struct Functions<Mul>;

}  // namespace binade
