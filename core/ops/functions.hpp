// The functions of one number: value(op, x), and gradient(op, x, dy), which is dy times the derivative at x.
#pragma once

#include <cmath>
#include <concepts>
#include <numbers>

#include "core/ops/ops.hpp"

namespace binade {

template <class T>
T value(const Sigmoid&, T x) {
  return T(1) / (T(1) + std::exp(-x));
}
template <class T>
T gradient(const Sigmoid& op, T x, T dy) {
  const T y = value(op, x);
  return dy * y * (T(1) - y);
}

template <class T>
T value(const HardSigmoid& op, T x) {
  const T y = static_cast<T>(op.alpha) * x + static_cast<T>(op.beta);
  return T(0) > y ? T(0) : (T(1) < y ? T(1) : y);
}
template <class T>
T gradient(const HardSigmoid& op, T x, T dy) {
  const T a = static_cast<T>(op.alpha), y = a * x + static_cast<T>(op.beta);
  return T(0) < y && y < T(1) ? a * dy : T(0);
}

template <class T>
T value(const HardSwish&, T x) {
  const T gate = T(0) > x + T(3) ? T(0) : (T(6) < x + T(3) ? T(6) : x + T(3));
  return x * gate / T(6);
}
template <class T>
T gradient(const HardSwish&, T x, T dy) {
  if (x <= T(-3)) return T(0);
  return x >= T(3) ? dy : dy * (T(2) * x + T(3)) / T(6);
}

template <class T>
T value(const Tanh&, T x) {
  return std::tanh(x);
}
template <class T>
T gradient(const Tanh& op, T x, T dy) {
  const T y = value(op, x);
  return dy * (T(1) - y) * (T(1) + y);
}

template <class T>
T value(const Elu& op, T x) {
  return x < T(0) ? static_cast<T>(op.alpha) * std::expm1(x) : x;
}
template <class T>
T gradient(const Elu& op, T x, T dy) {
  return x < T(0) ? dy * static_cast<T>(op.alpha) * std::exp(x) : dy;
}

template <class T>
T value(const Gelu& op, T x) {
  if (op.approximate == GeluForm::none) return x * (T(0.5) * std::erfc(-x * (std::numbers::sqrt2_v<T> / T(2))));
  const T inner = std::sqrt(T(2) * std::numbers::inv_pi_v<T>) * (x + T(0.044715) * x * x * x);
  return T(0.5) * x * (T(1) + std::tanh(inner));
}
template <class T>
T gradient(const Gelu& op, T x, T dy) {
  if (op.approximate == GeluForm::none) {
    const T below = T(0.5) * std::erfc(-x * (std::numbers::sqrt2_v<T> / T(2)));
    const T density = std::exp(T(-0.5) * x * x) * std::sqrt(T(0.5) * std::numbers::inv_pi_v<T>);
    return dy * (below + x * density);
  }
  const T c = std::sqrt(T(2) * std::numbers::inv_pi_v<T>), k = T(0.044715);
  const T t = std::tanh(c * (x + k * x * x * x));
  return dy * T(0.5) * (T(1) + t + x * (T(1) - t) * (T(1) + t) * c * (T(1) + T(3) * k * x * x));
}

template <class T>
T value(const Erf&, T x) {
  return std::erf(x);
}
template <class T>
T gradient(const Erf&, T x, T dy) {
  return dy * T(2) * std::numbers::inv_sqrtpi_v<T> * std::exp(-x * x);
}

/// max(x, 0) + log(1 + exp(-|x|)): no overflow.
template <class T>
T value(const Softplus&, T x) {
  return (x > T(0) ? x : T(0)) + std::log1p(std::exp(-std::abs(x)));
}
template <class T>
T gradient(const Softplus&, T x, T dy) {
  return dy * value(Sigmoid{}, x);
}

template <class T>
T value(const Mish&, T x) {
  return x * std::tanh(value(Softplus{}, x));
}
template <class T>
T gradient(const Mish&, T x, T dy) {
  const T t = std::tanh(value(Softplus{}, x));
  return dy * (t + x * (T(1) - t) * (T(1) + t) * value(Sigmoid{}, x));
}

/// An op that is a function of one number: its kernels, shape and integer table follow from its formula.
template <class Op>
concept IsFunction = requires(const Op& op, float x, double y) {
  { value(op, x) } -> std::same_as<float>;
  { value(op, y) } -> std::same_as<double>;
  { gradient(op, x, x) } -> std::same_as<float>;
  { gradient(op, y, y) } -> std::same_as<double>;
};

}  // namespace binade
