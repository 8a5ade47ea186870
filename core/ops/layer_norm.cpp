// LayerNorm: statistics over the channels of each pixel.
#include <cmath>
#include <utility>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"

namespace binade {

namespace {

/// Mean and 1 / sqrt(variance + epsilon) of c numbers.
template <class T>
std::pair<double, double> moments(const T* x, std::int64_t c, double epsilon) {
  double mean = 0, variance = 0;
  for (std::int64_t i = 0; i < c; ++i) mean += static_cast<double>(x[i]);
  mean /= static_cast<double>(c);
  for (std::int64_t i = 0; i < c; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    variance += d * d;
  }
  return {mean, 1 / std::sqrt(variance / static_cast<double>(c) + epsilon)};
}

}  // namespace

Shape infer_op(const LayerNorm&, std::span<const Shape> in) {
  detail::expect_inputs(LayerNorm::name, in, 3, 3);
  detail::expect_vector(LayerNorm::name, "gamma", in[1], in[0].c);
  detail::expect_vector(LayerNorm::name, "beta", in[2], in[0].c);
  return in[0];
}

template <class T>
void forward_op(const LayerNorm& op, const Forward<T>& f) {
  const std::int64_t c = f.out.shape.c;
  const T *gamma = f.in[1].data, *beta = f.in[2].data;
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* x = f.in[0].data + p * c;
      T* y = f.out.data + p * c;
      const auto [mean, inverse] = moments(x, c, op.epsilon);
      for (std::int64_t i = 0; i < c; ++i) {
        y[i] = static_cast<T>((static_cast<double>(x[i]) - mean) * inverse) * gamma[i] + beta[i];
      }
    }
  });
}

template <class T>
void backward_op(const LayerNorm& op, const Backward<T>& b) {
  const std::int64_t c = b.dout.shape.c, pixels = b.dout.shape.pixels();
  const T *x = b.in[0].data, *gamma = b.in[1].data, *dy = b.dout.data;
  if (b.din[1] || b.din[2]) {
    const auto sums = detail::pixel_sums(pixels, 2 * c, [&](std::int64_t begin, std::int64_t end, double* s) {
      for (std::int64_t p = begin; p < end; ++p) {
        const auto [mean, inverse] = moments(x + p * c, c, op.epsilon);
        for (std::int64_t i = 0; i < c; ++i) {
          const double g = static_cast<double>(dy[p * c + i]);
          s[i] += g * (static_cast<double>(x[p * c + i]) - mean) * inverse;
          s[c + i] += g;
        }
      }
    });
    for (std::int64_t i = 0; i < c; ++i) {
      if (b.din[1]) b.din[1].data[i] += static_cast<T>(sums[static_cast<std::size_t>(i)]);
      if (b.din[2]) b.din[2].data[i] += static_cast<T>(sums[static_cast<std::size_t>(c + i)]);
    }
  }
  if (!b.din[0]) return;
  parallel_for(pixels, detail::rows_per_chunk(2 * c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const auto [mean, inverse] = moments(x + p * c, c, op.epsilon);
      double sum = 0, dot = 0;
      for (std::int64_t i = 0; i < c; ++i) {
        const double g = static_cast<double>(dy[p * c + i]) * static_cast<double>(gamma[i]);
        sum += g;
        dot += g * (static_cast<double>(x[p * c + i]) - mean) * inverse;
      }
      const double n = static_cast<double>(c);
      for (std::int64_t i = 0; i < c; ++i) {
        const double g = static_cast<double>(dy[p * c + i]) * static_cast<double>(gamma[i]);
        const double z = (static_cast<double>(x[p * c + i]) - mean) * inverse;
        b.din[0].data[p * c + i] += static_cast<T>(inverse * (g - sum / n - z * dot / n));
      }
    }
  });
}

template struct Functions<LayerNorm>;

}  // namespace binade
