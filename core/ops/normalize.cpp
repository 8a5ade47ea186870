// BatchNorm and LayerNorm.
#include <cmath>
#include <type_traits>

#include "core/ops/batch_norm.hpp"
#include "core/ops/detail.hpp"
#include "core/ops/simd/normalize.hpp"

namespace binade {
namespace {

/// What the backward pass of a batch norm needs of the forward pass, per channel.
template <class T>
struct BatchStatistics {
  std::vector<double> mean, inverse_deviation;
  std::vector<T> scale, shift;  ///< y = scale * x + shift
};

/// One sweep over x, and over dy unless null, of a batch norm whose result is clamped to [lo, hi].
template <class T>
struct Sweep {
  View<const T> x;
  const T* dy;
  const std::vector<T>&scale, &shift;
  Limits<T> limits;

  std::int64_t channels() const { return x.shape.c; }
  /// The gradient that passes the clamp at element i of channel c.
  T passed(std::int64_t i, std::size_t c) const {
    const T y = x.data[i] * scale[c] + shift[c];
    return limits.lo < y && y < limits.hi ? dy[i] : T(0);
  }
  /// The same for the kernels, from pixel `first` on.
  simd::NormalizeSweep pixels(std::int64_t first, std::int64_t last) const requires std::is_same_v<T, float> {
    const std::int64_t at = first * channels();
    return {.x = x.data + at,
            .dy = dy == nullptr ? nullptr : dy + at,
            .scale = scale.data(),
            .shift = shift.data(),
            .lo = limits.lo,
            .hi = limits.hi,
            .pixels = last - first,
            .channels = channels()};
  }
};

template <class T>
std::vector<T> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// Means over pixels, then mean squares of the deviations: two passes, both with sums in double.
template <class T>
void batch_moments(View<const T> x, std::vector<double>& mean, std::vector<double>& variance) {
  const std::int64_t c = x.shape.c, pixels = x.shape.pixels();
  const auto sums_of = [&](const std::vector<double>& center, bool squared) {
    const std::vector<T> rough = rounded<T>(center);
    const Sweep<T> sweep{x, nullptr, rough, rough, {}};
    return detail::pixel_sums(pixels, c, [&](std::int64_t begin, std::int64_t end, double* sums) {
      if constexpr (std::is_same_v<T, float>) {
        const auto kernel = squared ? simd::normalize().squares : simd::normalize().sum;
        kernel(sweep.pixels(begin, end), rough.data(), sums);
        return;
      }
      for (std::int64_t p = begin; p < end; ++p) {
        for (std::int64_t i = 0; i < c; ++i) {
          const double d = static_cast<double>(x.data[p * c + i]) - center[static_cast<std::size_t>(i)];
          sums[i] += squared ? d * d : d;
        }
      }
    });
  };
  mean = sums_of(std::vector<double>(static_cast<std::size_t>(c)), false);
  for (double& m : mean) m /= static_cast<double>(pixels);
  variance = sums_of(mean, true);
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
void batch_norm_forward(const BatchNorm& op, const Forward<T>& f, Limits<T> limits) {
  const std::size_t c = static_cast<std::size_t>(f.out.shape.c);
  std::vector<double> mean(f.in[3].data, f.in[3].data + c), variance(f.in[4].data, f.in[4].data + c);
  if (f.mode == Mode::training && !op.frozen) {
    const double pixels = static_cast<double>(f.out.shape.pixels()), momentum = op.momentum;
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
    inverse[i] = 1 / std::sqrt(variance[i] + op.epsilon);
    const double s = static_cast<double>(f.in[1].data[i]) * inverse[i];
    scale[i] = static_cast<T>(s);
    shift[i] = static_cast<T>(static_cast<double>(f.in[2].data[i]) - mean[i] * s);
  }
  const Sweep<T> sweep{f.in[0], nullptr, scale, shift, limits};
  const std::int64_t channels = sweep.channels();
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(channels), [&](std::int64_t begin, std::int64_t end) {
    T* y = f.out.data + begin * channels;
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().apply(sweep.pixels(begin, end), y);
      return;
    }
    const T* x = f.in[0].data + begin * channels;
    for (std::int64_t i = 0; i < (end - begin) * channels; ++i) {
      const auto k = static_cast<std::size_t>(i % channels);
      const T above = std::max(limits.lo, x[i] * scale[k] + shift[k]);
      y[i] = std::min(limits.hi, above);
    }
  });
  if (f.mode == Mode::training) {
    f.state.template get<BatchStatistics<T>>() = {std::move(mean), std::move(inverse), std::move(scale),
                                                  std::move(shift)};
  }
}

// With z = (x - mean) / deviation over m pixels and g the gradient that passes the clamp:
// dbeta = sum g, dgamma = sum g z, dx = gamma / deviation * (g - dbeta / m - z * dgamma / m).
template <class T>
void batch_norm_backward(const BatchNorm& op, const Backward<T>& b, Limits<T> limits) {
  const auto& kept = b.state.template get<BatchStatistics<T>>();
  const std::int64_t c = b.dout.shape.c, pixels = b.dout.shape.pixels();
  require(static_cast<std::int64_t>(kept.mean.size()) == c, "BatchNorm: backward without a training forward");
  const Sweep<T> sweep{b.in[0], b.dout.data, kept.scale, kept.shift, limits};
  const std::vector<T> center = rounded<T>(kept.mean);
  const auto sums = detail::pixel_sums(pixels, 2 * c, [&](std::int64_t begin, std::int64_t end, double* s) {
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().gradient_sums(sweep.pixels(begin, end), center.data(), s);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const double g = static_cast<double>(sweep.passed(p * c + i, k));
        s[i] += g;
        s[c + i] += g * static_cast<double>(b.in[0].data[p * c + i] - center[k]);
      }
    }
  });
  // dx = by_gradient * g + (by_value * x + constant)
  const std::size_t channels = static_cast<std::size_t>(c);
  std::vector<T> by_gradient(channels), by_value(channels), constant(channels);
  for (std::size_t i = 0; i < channels; ++i) {
    const double inverse = kept.inverse_deviation[i], m = static_cast<double>(pixels);
    const double off_center = kept.mean[i] - static_cast<double>(center[i]);
    const double dbeta = sums[i], dgamma = (sums[channels + i] - off_center * dbeta) * inverse;
    if (b.din[1]) b.din[1].data[i] = static_cast<T>(dgamma) + (b.is_fresh(1) ? T(0) : b.din[1].data[i]);
    if (b.din[2]) b.din[2].data[i] = static_cast<T>(dbeta) + (b.is_fresh(2) ? T(0) : b.din[2].data[i]);
    const double scale = static_cast<double>(b.in[1].data[i]) * inverse, slope = -scale * inverse * dgamma / m;
    by_gradient[i] = static_cast<T>(scale);
    if (op.frozen) continue;  // the statistics do not depend on x
    by_value[i] = static_cast<T>(slope);
    constant[i] = static_cast<T>(-scale * dbeta / m - slope * kept.mean[i]);
  }
  if (!b.din[0]) return;
  parallel_for(pixels, detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().gradient(sweep.pixels(begin, end), by_gradient.data(), by_value.data(), constant.data(),
                                 !b.is_fresh(0), b.din[0].data + begin * c);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      T* dx = b.din[0].data + p * c;
      for (std::int64_t i = 0; i < c; ++i) {
        const std::size_t k = static_cast<std::size_t>(i);
        const T d = by_gradient[k] * sweep.passed(p * c + i, k) + (by_value[k] * b.in[0].data[p * c + i] + constant[k]);
        dx[i] = b.is_fresh(0) ? d : dx[i] + d;
      }
    }
  });
}

template <class T>
void BatchNorm::forward(const Forward<T>& f) const {
  batch_norm_forward(*this, f, {});
}

template <class T>
void BatchNorm::backward(const Backward<T>& b) const {
  batch_norm_backward(*this, b, {});
}

template void batch_norm_forward(const BatchNorm&, const Forward<float>&, Limits<float>);
template void batch_norm_forward(const BatchNorm&, const Forward<double>&, Limits<double>);
template void batch_norm_backward(const BatchNorm&, const Backward<float>&, Limits<float>);
template void batch_norm_backward(const BatchNorm&, const Backward<double>&, Limits<double>);

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
