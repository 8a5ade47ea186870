// Batch norm in parts: moments, what follows from them, and the forward and backward sweeps.
#include "core/ops/batch_norm.hpp"

#include <cmath>
#include <type_traits>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/normalize.hpp"

namespace binade {
namespace {

template <class T>
std::vector<T> rounded(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// For the kernels, pixels [first, last).
simd::NormalizeSweep sweep_of(View<const float> x, const float* dy, const std::vector<float>& scale,
                              const std::vector<float>& shift, Limits<float> limits, std::int64_t first,
                              std::int64_t last) {
  const std::int64_t at = first * x.shape.c;
  return {.x = x.data + at,
          .dy = dy == nullptr ? nullptr : dy + at,
          .scale = scale.data(),
          .shift = shift.data(),
          .lo = limits.lo,
          .hi = limits.hi,
          .pixels = last - first,
          .channels = x.shape.c};
}

/// Sums over pixels of x - center, or of its square; in double.
template <class T>
std::vector<double> sums_about(View<const T> x, const std::vector<double>& center, bool squared) {
  const std::int64_t c = x.shape.c;
  const std::vector<T> rough = rounded<T>(center);
  return detail::pixel_sums(x.shape.pixels(), c, [&](std::int64_t begin, std::int64_t end, double* sums) {
    if constexpr (std::is_same_v<T, float>) {
      const auto kernel = squared ? simd::normalize().squares : simd::normalize().sum;
      kernel(sweep_of(x, nullptr, rough, rough, {}, begin, end), rough.data(), sums);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const double d = static_cast<double>(x.data[p * c + i]) - center[static_cast<std::size_t>(i)];
        sums[i] += squared ? d * d : d;
      }
    }
  });
}

/// The gradient that passes the clamp after y = scale * x + shift.
template <class T>
T passed(T x, T dy, T scale, T shift, Limits<T> limits) {
  const T y = x * scale + shift;
  return limits.lo < y && y < limits.hi ? dy : T(0);
}

}  // namespace

template <class T>
ChannelMoments moments_of(View<const T> x) {
  ChannelMoments moments{.pixels = static_cast<double>(x.shape.pixels())};
  moments.mean = sums_about(x, std::vector<double>(static_cast<std::size_t>(x.shape.c)), false);
  for (double& m : moments.mean) m /= moments.pixels;
  moments.squares = sums_about(x, moments.mean, true);
  return moments;
}

void ChannelMoments::add(const ChannelMoments& more) {
  if (pixels == 0) {
    *this = more;
    return;
  }
  const double all = pixels + more.pixels;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double d = more.mean[i] - mean[i];
    mean[i] += d * more.pixels / all;
    squares[i] += more.squares[i] + d * d * pixels * more.pixels / all;
  }
  pixels = all;
}

template <class T>
void Normalizer<T>::set(const BatchNorm& op, View<const T> gamma, View<const T> beta, std::vector<double> mean,
                        const std::vector<double>& variance) {
  const std::size_t c = mean.size();
  mean_ = std::move(mean);
  inverse_deviation_.resize(c);
  scale_.resize(c);
  shift_.resize(c);
  for (std::size_t i = 0; i < c; ++i) {
    inverse_deviation_[i] = 1 / std::sqrt(variance[i] + op.epsilon);
    const double s = static_cast<double>(gamma.data[i]) * inverse_deviation_[i];
    scale_[i] = static_cast<T>(s);
    shift_[i] = static_cast<T>(static_cast<double>(beta.data[i]) - mean_[i] * s);
  }
}

template <class T>
void Normalizer<T>::set(const BatchNorm& op, View<const T> gamma, View<const T> beta, const ChannelMoments& batch,
                        std::span<const View<T>> updated) {
  const double pixels = batch.pixels, momentum = op.momentum;
  if (pixels < 2) {
    throw DataError("BatchNorm: one value per channel has no variance to train with; use a larger batch");
  }
  require(updated.empty() || updated.size() == 2, "BatchNorm updates two inputs, the running mean and variance");
  std::vector<double> variance = batch.squares;
  for (double& v : variance) v /= pixels;
  for (std::size_t i = 0; !updated.empty() && i < variance.size(); ++i) {
    T &m = updated[0].data[i], &v = updated[1].data[i];
    m = static_cast<T>((1 - momentum) * static_cast<double>(m) + momentum * batch.mean[i]);
    v = static_cast<T>((1 - momentum) * static_cast<double>(v) + momentum * variance[i] * pixels / (pixels - 1));
  }
  set(op, gamma, beta, batch.mean, variance);
}

template <class T>
void Normalizer<T>::apply(View<const T> x, T* to, Limits<T> limits) const {
  const std::int64_t channels = x.shape.c;
  parallel_for(x.shape.pixels(), detail::rows_per_chunk(channels), [&](std::int64_t begin, std::int64_t end) {
    T* y = to + begin * channels;
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().apply(sweep_of(x, nullptr, scale_, shift_, limits, begin, end), y);
      return;
    }
    const T* from = x.data + begin * channels;
    for (std::int64_t i = 0; i < (end - begin) * channels; ++i) {
      const auto k = static_cast<std::size_t>(i % channels);
      const T above = std::max(limits.lo, from[i] * scale_[k] + shift_[k]);
      y[i] = std::min(limits.hi, above);
    }
  });
}

template <class T>
std::vector<double> Normalizer<T>::gradient_sums(View<const T> x, const T* dy, Limits<T> limits) const {
  const std::int64_t c = x.shape.c;
  require(static_cast<std::int64_t>(mean_.size()) == c, "BatchNorm: backward without a training forward");
  const std::vector<T> center = rounded<T>(mean_);
  return detail::pixel_sums(x.shape.pixels(), 2 * c, [&](std::int64_t begin, std::int64_t end, double* s) {
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().gradient_sums(sweep_of(x, dy, scale_, shift_, limits, begin, end), center.data(), s);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const std::int64_t at = p * c + i;
        const double g = static_cast<double>(passed(x.data[at], dy[at], scale_[k], shift_[k], limits));
        s[i] += g;
        s[c + i] += g * static_cast<double>(x.data[at] - center[k]);
      }
    }
  });
}

// With z = (x - mean) / deviation over m pixels and g the gradient that passes the clamp:
// dbeta = sum g, dgamma = sum g z, dx = gamma / deviation * (g - dbeta / m - z * dgamma / m).
template <class T>
void Normalizer<T>::set_gradient(const BatchNorm& op, View<const T> gamma, const std::vector<double>& sums,
                                 double pixels, T* dgamma, T* dbeta) {
  const std::vector<T> center = rounded<T>(mean_);
  const std::size_t channels = mean_.size();
  // dx = by_gradient * g + (by_value * x + constant)
  by_gradient_.resize(channels);
  by_value_.assign(channels, T(0));
  constant_.assign(channels, T(0));
  for (std::size_t i = 0; i < channels; ++i) {
    const double inverse = inverse_deviation_[i], off_center = mean_[i] - static_cast<double>(center[i]);
    const double of_beta = sums[i], of_gamma = (sums[channels + i] - off_center * of_beta) * inverse;
    if (dgamma != nullptr) dgamma[i] += static_cast<T>(of_gamma);
    if (dbeta != nullptr) dbeta[i] += static_cast<T>(of_beta);
    const double scale = static_cast<double>(gamma.data[i]) * inverse, slope = -scale * inverse * of_gamma / pixels;
    by_gradient_[i] = static_cast<T>(scale);
    if (op.frozen) continue;  // the statistics do not depend on x
    by_value_[i] = static_cast<T>(slope);
    constant_[i] = static_cast<T>(-scale * of_beta / pixels - slope * mean_[i]);
  }
}

template <class T>
void Normalizer<T>::gradient(View<const T> x, const T* dy, Limits<T> limits, T* to, bool add) const {
  const std::int64_t c = x.shape.c;
  parallel_for(x.shape.pixels(), detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<T, float>) {
      simd::normalize().gradient(sweep_of(x, dy, scale_, shift_, limits, begin, end), by_gradient_.data(),
                                 by_value_.data(), constant_.data(), add, to + begin * c);
      return;
    }
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = 0; i < c; ++i) {
        const std::size_t k = static_cast<std::size_t>(i);
        const std::int64_t at = p * c + i;
        const T g = passed(x.data[at], dy[at], scale_[k], shift_[k], limits);
        const T d = by_gradient_[k] * g + (by_value_[k] * x.data[at] + constant_[k]);
        to[at] = add ? to[at] + d : d;
      }
    }
  });
}

template class Normalizer<float>;
template class Normalizer<double>;
template ChannelMoments moments_of(View<const float>);
template ChannelMoments moments_of(View<const double>);

Shape infer_op(const BatchNorm&, std::span<const Shape> in) {
  detail::expect_inputs(BatchNorm::name, in, 5, 5);
  constexpr std::string_view kNames[] = {"", "gamma", "beta", "the running mean", "the running variance"};
  for (std::size_t i = 1; i < 5; ++i) detail::expect_vector(BatchNorm::name, kNames[i], in[i], in[0].c);
  return in[0];
}

namespace {

/// From a BatchNorm's inputs.
template <class T>
void set_running(const BatchNorm& op, std::span<const View<const T>> in, Normalizer<T>& normalizer) {
  const std::vector<double> variance(in[4].data, in[4].data + in[4].count());
  normalizer.set(op, in[1], in[2], {in[3].data, in[3].data + in[3].count()}, variance);
}

}  // namespace

template <class T>
void batch_norm_forward(const BatchNorm& op, const Forward<T>& f, Limits<T> limits) {
  Normalizer<T> fresh;
  Normalizer<T>& normalizer = f.mode == Mode::training ? f.state.template get<Normalizer<T>>() : fresh;
  if (f.mode == Mode::training && !op.frozen) {
    normalizer.set(op, f.in[1], f.in[2], moments_of(f.in[0]), f.updated);
  } else {
    set_running(op, f.in, normalizer);
  }
  normalizer.apply(f.in[0], f.out.data, limits);
}

template <class T>
void batch_norm_backward(const BatchNorm& op, const Backward<T>& b, Limits<T> limits) {
  auto& normalizer = b.state.template get<Normalizer<T>>();
  if (op.frozen) set_running(op, b.in, normalizer);
  const std::vector<double> sums = normalizer.gradient_sums(b.in[0], b.dout.data, limits);
  for (const std::size_t i : {1u, 2u}) {
    if (b.din[i] && b.is_fresh(i)) std::fill_n(b.din[i].data, b.din[i].count(), T(0));
  }
  normalizer.set_gradient(op, b.in[1], sums, static_cast<double>(b.dout.shape.pixels()), b.din[1].data, b.din[2].data);
  if (b.din[0]) normalizer.gradient(b.in[0], b.dout.data, limits, b.din[0].data, !b.is_fresh(0));
}

template <class T>
void forward_op(const BatchNorm& op, const Forward<T>& f) {
  batch_norm_forward(op, f, {});
}

template <class T>
void backward_op(const BatchNorm& op, const Backward<T>& b) {
  batch_norm_backward(op, b, {});
}

template void batch_norm_forward(const BatchNorm&, const Forward<float>&, Limits<float>);
template void batch_norm_forward(const BatchNorm&, const Forward<double>&, Limits<double>);
template void batch_norm_backward(const BatchNorm&, const Backward<float>&, Limits<float>);
template void batch_norm_backward(const BatchNorm&, const Backward<double>&, Limits<double>);

template struct Functions<BatchNorm>;

}  // namespace binade
