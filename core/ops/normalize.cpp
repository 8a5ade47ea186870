// BatchNorm and LayerNorm.
#include <cmath>
#include <type_traits>

#include "core/ops/detail.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

/// What the backward pass of a batch norm needs of the forward pass, per channel.
struct BatchStatistics {
  std::vector<double> mean, inverse_deviation;
};

/// y = scale[c] * x + shift[c]
template <class T>
void scale_shift(View<const T> x, View<T> y, const std::vector<T>& scale, const std::vector<T>& shift) {
  const std::int64_t c = x.shape.c;
  parallel_for(x.shape.pixels(), detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<T, float>) {
      simd::elementwise().scale_shift(x.data + begin * c, scale.data(), shift.data(), y.data + begin * c, end - begin,
                                      c);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      const T* from = x.data + p * c;
      T* to = y.data + p * c;
      for (std::int64_t i = 0; i < c; ++i) {
        to[i] = from[i] * scale[static_cast<std::size_t>(i)] + shift[static_cast<std::size_t>(i)];
      }
    }
  });
}

/// Means over pixels, then mean squares of the deviations: two passes, both with sums in double.
template <class T>
void batch_moments(View<const T> x, std::vector<double>& mean, std::vector<double>& variance) {
  const std::int64_t c = x.shape.c, pixels = x.shape.pixels();
  mean = detail::pixel_sums(pixels, c, [&](std::int64_t begin, std::int64_t end, double* sums) {
    if constexpr (std::is_same_v<T, float>) {
      simd::elementwise().column_sums(x.data + begin * c, end - begin, c, c, sums);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) sums[i] += static_cast<double>(x.data[p * c + i]);
    }
  });
  for (double& m : mean) m /= static_cast<double>(pixels);
  variance = detail::pixel_sums(pixels, c, [&](std::int64_t begin, std::int64_t end, double* sums) {
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const double d = static_cast<double>(x.data[p * c + i]) - mean[static_cast<std::size_t>(i)];
        sums[i] += d * d;
      }
    }
  });
  for (double& v : variance) v /= static_cast<double>(pixels);
}

}  // namespace

Shape BatchNorm::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 5, 5);
  constexpr std::string_view kNames[] = {"", "gamma", "beta", "the running mean", "the running variance"};
  for (std::size_t i = 1; i < 5; ++i) detail::expect_vector(name, kNames[i], in[i], in[0].c);
  return in[0];
}

template <class T>
void BatchNorm::forward(const Forward<T>& f) const {
  const std::size_t c = static_cast<std::size_t>(f.out.shape.c);
  std::vector<double> mean(f.in[3].data, f.in[3].data + c), variance(f.in[4].data, f.in[4].data + c);
  if (f.mode == Mode::training && !frozen) {
    const double pixels = static_cast<double>(f.out.shape.pixels());
    if (pixels < 2) {
      throw DataError("BatchNorm: one value per channel has no variance to train with; use a larger batch");
    }
    batch_moments(f.in[0], mean, variance);
    require(f.updated.empty() || f.updated.size() == 2, "BatchNorm updates two inputs, the running mean and variance");
    if (!f.updated.empty()) {
      for (std::size_t i = 0; i < c; ++i) {
        T &m = f.updated[0].data[i], &v = f.updated[1].data[i];
        m = static_cast<T>((1 - momentum) * static_cast<double>(m) + momentum * mean[i]);
        v = static_cast<T>((1 - momentum) * static_cast<double>(v) + momentum * variance[i] * pixels / (pixels - 1));
      }
    }
  }
  std::vector<T> scale(c), shift(c);
  std::vector<double> inverse(c);
  for (std::size_t i = 0; i < c; ++i) {
    inverse[i] = 1 / std::sqrt(variance[i] + epsilon);
    const double s = static_cast<double>(f.in[1].data[i]) * inverse[i];
    scale[i] = static_cast<T>(s);
    shift[i] = static_cast<T>(static_cast<double>(f.in[2].data[i]) - mean[i] * s);
  }
  scale_shift(f.in[0], f.out, scale, shift);
  if (f.mode == Mode::training) f.state.template get<BatchStatistics>() = {std::move(mean), std::move(inverse)};
}

// With z = (x - mean) / deviation over m pixels:
// dbeta = sum dy, dgamma = sum dy z, dx = gamma / deviation * (dy - dbeta / m - z * dgamma / m).
template <class T>
void BatchNorm::backward(const Backward<T>& b) const {
  const BatchStatistics& kept = b.state.template get<BatchStatistics>();
  const std::int64_t c = b.dout.shape.c, pixels = b.dout.shape.pixels();
  require(static_cast<std::int64_t>(kept.mean.size()) == c, "BatchNorm: backward without a training forward");
  const T *x = b.in[0].data, *dy = b.dout.data;
  const auto sums = detail::pixel_sums(pixels, 2 * c, [&](std::int64_t begin, std::int64_t end, double* s) {
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const double g = static_cast<double>(dy[p * c + i]);
        s[i] += g;
        s[c + i] += g * (static_cast<double>(x[p * c + i]) - kept.mean[static_cast<std::size_t>(i)]);
      }
    }
  });
  // dx = by_gradient * dy + by_value * x + constant
  const std::size_t channels = static_cast<std::size_t>(c);
  std::vector<T> by_gradient(channels), by_value(channels), constant(channels);
  for (std::size_t i = 0; i < channels; ++i) {
    const double inverse = kept.inverse_deviation[i], m = static_cast<double>(pixels);
    const double dbeta = sums[i], dgamma = sums[channels + i] * inverse;
    if (b.din[1]) b.din[1].data[i] += static_cast<T>(dgamma);
    if (b.din[2]) b.din[2].data[i] += static_cast<T>(dbeta);
    const double scale = static_cast<double>(b.in[1].data[i]) * inverse, slope = -scale * inverse * dgamma / m;
    by_gradient[i] = static_cast<T>(scale);
    if (frozen) continue;  // the statistics do not depend on x
    by_value[i] = static_cast<T>(slope);
    constant[i] = static_cast<T>(-scale * dbeta / m - slope * kept.mean[i]);
  }
  if (!b.din[0]) return;
  parallel_for(pixels, detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      T* dx = b.din[0].data + p * c;
      for (std::int64_t i = 0; i < c; ++i) {
        const std::size_t k = static_cast<std::size_t>(i);
        dx[i] += by_gradient[k] * dy[p * c + i] + by_value[k] * x[p * c + i] + constant[k];
      }
    }
  });
}

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

Shape LayerNorm::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 3, 3);
  detail::expect_vector(name, "gamma", in[1], in[0].c);
  detail::expect_vector(name, "beta", in[2], in[0].c);
  return in[0];
}

template <class T>
void LayerNorm::forward(const Forward<T>& f) const {
  const std::int64_t c = f.out.shape.c;
  const T *gamma = f.in[1].data, *beta = f.in[2].data;
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* x = f.in[0].data + p * c;
      T* y = f.out.data + p * c;
      const auto [mean, inverse] = moments(x, c, epsilon);
      for (std::int64_t i = 0; i < c; ++i) {
        y[i] = static_cast<T>((static_cast<double>(x[i]) - mean) * inverse) * gamma[i] + beta[i];
      }
    }
  });
}

template <class T>
void LayerNorm::backward(const Backward<T>& b) const {
  const std::int64_t c = b.dout.shape.c, pixels = b.dout.shape.pixels();
  const T *x = b.in[0].data, *gamma = b.in[1].data, *dy = b.dout.data;
  if (b.din[1] || b.din[2]) {
    const auto sums = detail::pixel_sums(pixels, 2 * c, [&](std::int64_t begin, std::int64_t end, double* s) {
      for (std::int64_t p = begin; p < end; ++p) {
        const auto [mean, inverse] = moments(x + p * c, c, epsilon);
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
      const auto [mean, inverse] = moments(x + p * c, c, epsilon);
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

template void BatchNorm::forward(const Forward<float>&) const;
template void BatchNorm::forward(const Forward<double>&) const;
template void BatchNorm::backward(const Backward<float>&) const;
template void BatchNorm::backward(const Backward<double>&) const;
template void LayerNorm::forward(const Forward<float>&) const;
template void LayerNorm::forward(const Forward<double>&) const;
template void LayerNorm::backward(const Backward<float>&) const;
template void LayerNorm::backward(const Backward<double>&) const;

}  // namespace binade
