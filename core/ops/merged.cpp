// MergedWeights and MergedBias: a layer's parameters with its batch norm in them, made anew in every step.
#include <cmath>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"

namespace binade {
namespace {

/// gamma / sqrt(variance + epsilon)
template <class T>
double gain(const View<const T>& gamma, const View<const T>& variance, double epsilon, std::int64_t o) {
  return static_cast<double>(gamma.data[o]) / std::sqrt(static_cast<double>(variance.data[o]) + epsilon);
}

}  // namespace

Shape infer_op(const MergedWeights&, std::span<const Shape> in) {
  detail::expect_inputs(MergedWeights::name, in, 3, 3);
  detail::expect_vector(MergedWeights::name, "gamma", in[1], in[0].n);
  detail::expect_vector(MergedWeights::name, "the running variance", in[2], in[0].n);
  return in[0];
}

template <class T>
void forward_op(const MergedWeights& op, const Forward<T>& f) {
  const std::int64_t rows = f.out.shape.n, length = f.out.count() / std::max<std::int64_t>(1, rows);
  for (std::int64_t o = 0; o < rows; ++o) {
    const double g = gain(f.in[1], f.in[2], op.epsilon, o);
    for (std::int64_t i = o * length; i < (o + 1) * length; ++i) {
      f.out.data[i] = static_cast<T>(static_cast<double>(f.in[0].data[i]) * g);
    }
  }
}

template <class T>
void backward_op(const MergedWeights& op, const Backward<T>& b) {
  const std::int64_t rows = b.dout.shape.n, length = b.dout.count() / std::max<std::int64_t>(1, rows);
  for (std::int64_t o = 0; o < rows; ++o) {
    const double g = gain(b.in[1], b.in[2], op.epsilon, o);
    double sum = 0;
    for (std::int64_t i = o * length; i < (o + 1) * length; ++i) {
      const double dy = static_cast<double>(b.dout.data[i]);
      if (b.din[0]) b.din[0].data[i] += static_cast<T>(dy * g);
      sum += dy * static_cast<double>(b.in[0].data[i]);
    }
    if (b.din[1]) {
      b.din[1].data[o] += static_cast<T>(sum / std::sqrt(static_cast<double>(b.in[2].data[o]) + op.epsilon));
    }
  }
}

Shape infer_op(const MergedBias&, std::span<const Shape> in) {
  detail::expect_inputs(MergedBias::name, in, 4, 5);
  constexpr std::string_view kNames[] = {"", "beta", "the running mean", "the running variance", "the bias"};
  for (std::size_t i = 1; i < in.size(); ++i) detail::expect_vector(MergedBias::name, kNames[i], in[i], in[0].c);
  detail::expect_vector(MergedBias::name, "gamma", in[0], in[0].c);
  return in[0];
}

template <class T>
void forward_op(const MergedBias& op, const Forward<T>& f) {
  for (std::int64_t o = 0; o < f.out.count(); ++o) {
    const double g = gain(f.in[0], f.in[3], op.epsilon, o);
    const double bias = f.in.size() > 4 ? static_cast<double>(f.in[4].data[o]) : 0.0;
    const double offset = static_cast<double>(f.in[1].data[o]) - g * static_cast<double>(f.in[2].data[o]);
    f.out.data[o] = static_cast<T>(g * bias + offset);
  }
}

template <class T>
void backward_op(const MergedBias& op, const Backward<T>& b) {
  for (std::int64_t o = 0; o < b.dout.count(); ++o) {
    const double inverse = 1 / std::sqrt(static_cast<double>(b.in[3].data[o]) + op.epsilon);
    const double dy = static_cast<double>(b.dout.data[o]);
    const double bias = b.in.size() > 4 ? static_cast<double>(b.in[4].data[o]) : 0.0;
    if (b.din[0]) b.din[0].data[o] += static_cast<T>(dy * inverse * (bias - static_cast<double>(b.in[2].data[o])));
    if (b.din[1]) b.din[1].data[o] += static_cast<T>(dy);
    if (b.in.size() > 4 && b.din[4]) {
      b.din[4].data[o] += static_cast<T>(dy * inverse * static_cast<double>(b.in[0].data[o]));
    }
  }
}

template struct Functions<MergedWeights>;
template struct Functions<MergedBias>;

}  // namespace binade
