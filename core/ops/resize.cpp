// Resize: nearest and bilinear, three coordinate conventions; separable, so each axis is a table of taps.
#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/resize_taps.hpp"

namespace binade {
namespace {

/// The taps seen from the input: which outputs read position i, with which weight, in ascending order.
struct Reader {
  int output;
  double weight;
};

std::vector<std::vector<Reader>> readers_of(const std::vector<ResizeWeights>& taps, int in) {
  std::vector<std::vector<Reader>> readers(static_cast<std::size_t>(in));
  for (std::size_t o = 0; o < taps.size(); ++o) {
    const ResizeWeights& tap = taps[o];
    readers[static_cast<std::size_t>(tap.low)].push_back({static_cast<int>(o), 1 - tap.weight});
    if (tap.weight != 0) readers[static_cast<std::size_t>(tap.high)].push_back({static_cast<int>(o), tap.weight});
  }
  return readers;
}

}  // namespace

Shape infer_op(const Resize& op, std::span<const Shape> in) {
  detail::expect_inputs(Resize::name, in, 1, 1);
  if (op.height < 1 || op.width < 1 || in[0].h < 1 || in[0].w < 1) {
    throw DataError("Resize: cannot resize " + to_string(in[0]) + " to " + std::to_string(op.height) + "x" +
                    std::to_string(op.width) + "; every extent must be at least 1");
  }
  if (op.weight_bits < 0 || op.weight_bits > 11) {
    throw DataError("Resize: weight_bits is " + std::to_string(op.weight_bits) + ", wanted 0 to 11");
  }
  return {in[0].n, op.height, op.width, in[0].c};
}

template <class T>
void forward_op(const Resize& op, const Forward<T>& f) {
  const Shape &in = f.in[0].shape, &out = f.out.shape;
  const auto rows = resize_weights(op, in.h, out.h), columns = resize_weights(op, in.w, out.w);
  const std::int64_t c = in.c, length = out.w * c;
  parallel_for(std::int64_t{out.n} * out.h, detail::rows_per_chunk(2 * length),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) {
                   const std::int64_t n = r / out.h;
                   const ResizeWeights& row = rows[static_cast<std::size_t>(r % out.h)];
                   const T* top = f.in[0].data + (n * in.h + row.low) * in.w * c;
                   const T* bottom = f.in[0].data + (n * in.h + row.high) * in.w * c;
                   const T v = static_cast<T>(row.weight);
                   for (int ox = 0; ox < out.w; ++ox) {
                     const ResizeWeights& column = columns[static_cast<std::size_t>(ox)];
                     T* y = f.out.data + r * length + ox * c;
                     if (op.interpolation == Interpolation::nearest) {
                       std::copy_n(top + column.low * c, c, y);
                       continue;
                     }
                     const T u = static_cast<T>(column.weight);
                     const T *a = top + column.low * c, *b = top + column.high * c;
                     const T *p = bottom + column.low * c, *q = bottom + column.high * c;
                     for (std::int64_t i = 0; i < c; ++i) {
                       const T upper = a[i] + u * (b[i] - a[i]), lower = p[i] + u * (q[i] - p[i]);
                       y[i] = upper + v * (lower - upper);
                     }
                   }
                 }
               });
}

template <class T>
void backward_op(const Resize& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  const auto rows = readers_of(resize_weights(op, in.h, out.h), in.h);
  const auto columns = readers_of(resize_weights(op, in.w, out.w), in.w);
  const std::int64_t c = in.c;
  const std::int64_t work = out.count() / (std::int64_t{in.n} * in.h) + 1;
  parallel_for(std::int64_t{in.n} * in.h, detail::rows_per_chunk(4 * work), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t n = r / in.h;
      for (const Reader& row : rows[static_cast<std::size_t>(r % in.h)]) {
        const T* dy = b.dout.data + (n * out.h + row.output) * out.w * c;
        for (int ix = 0; ix < in.w; ++ix) {
          T* dx = b.din[0].data + (r * in.w + ix) * c;
          for (const Reader& column : columns[static_cast<std::size_t>(ix)]) {
            const T weight = static_cast<T>(row.weight * column.weight);
            for (std::int64_t i = 0; i < c; ++i) dx[i] += weight * dy[column.output * c + i];
          }
        }
      }
    }
  });
}

template struct Functions<Resize>;

}  // namespace binade
