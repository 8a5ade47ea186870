// Softmax of rows for any vector type; included once per instruction set.
#pragma once

#include "core/ops/simd/softmax.hpp"

namespace binade::simd {
namespace {

template <class V>
class Softmax {
 public:
  explicit Softmax(const SoftmaxRows& rows) : rows_(rows), factor_(V::set(rows.factor)) {}

  void run() const {
    for (std::int64_t row = 0; row < rows_.rows; row += kRows) {
      block(row, static_cast<int>(rows_.rows - row < kRows ? rows_.rows - row : kRows));
    }
  }

 private:
  using Reg = typename V::Reg;
  static constexpr int kRows = 16;

  /// Each loop over the rows has chains of dependencies that are short enough for those of several rows to overlap.
  void block(std::int64_t first, int rows) const {
    const std::int64_t c = rows_.c;
    const float* x = rows_.x + first * c;
    float* y = rows_.probabilities == nullptr ? nullptr : rows_.probabilities + first * c;
    float tops[kRows], sums[kRows];
    for (int row = 0; row < rows; ++row) tops[row] = largest_of(x + row * c);
    for (int row = 0; row < rows; ++row) {
      const Reg top = V::set(tops[row]);
      Reg lanes = V::set(0);
      each(x + row * c, [&](std::int64_t i, int n, Reg r) {
        const Reg e = exponential(V::sub(r, top));
        lanes = V::add(lanes, e);
        if (y != nullptr) V::store(y + row * c + i, n, e);
      });
      sums[row] = V::sum(lanes);
    }
    for (int row = 0; row < rows && rows_.log_sums != nullptr; ++row) {
      rows_.log_sums[first + row] = tops[row] + __builtin_logf(sums[row]);
    }
    for (int row = 0; row < rows && y != nullptr; ++row) {
      const float share = 1 / sums[row];
      for (std::int64_t i = row * c; i < (row + 1) * c; ++i) y[i] *= share;
    }
  }

  /// f(i, n, factor * x[i .. i + n)); lanes beyond n hold minus infinity.
  template <class F>
  void each(const float* x, F f) const {
    std::int64_t i = 0;
    for (; i + V::width <= rows_.c; i += V::width) f(i, V::width, V::mul(factor_, V::load(x + i)));
    const auto left = static_cast<int>(rows_.c - i);
    if (left == 0) return;
    f(i, left, V::mul(factor_, V::load(x + i, left, V::set(-__builtin_inff()))));
  }

  float largest_of(const float* x) const {
    const Reg infinity = V::set(__builtin_inff());
    Reg tops = V::set(-__builtin_inff());
    each(x, [&](std::int64_t, int, Reg r) { tops = V::clamp(r, tops, infinity); });
    return V::largest(tops);
  }

  /// exp of x <= 0: 2^n times the series of exp to its seventh power, for what is left, at most log(2) / 2.
  static Reg exponential(Reg x) {
    // Of log(2), the first bits, whose products with n are exact, and the rest.
    constexpr float kFirst = 0x1.62ep-1f, kRest = static_cast<float>(0.693147180559945309417 - 0x1.62ep-1);
    x = V::clamp(x, V::set(-87.0f), V::set(0.0f));
    const Reg n = V::round_half_up(V::mul(x, V::set(1.44269504f)));
    const Reg r = V::fma(n, V::set(-kRest), V::fma(n, V::set(-kFirst), x));
    Reg y = V::set(1.0f / 5040);
    constexpr float kTerms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    for (const float term : kTerms) y = V::fma(y, r, V::set(term));
    return V::mul(y, V::power_of_two(n));
  }

  const SoftmaxRows& rows_;
  Reg factor_;
};

template <class V>
void softmax_with(const SoftmaxRows& rows) {
  Softmax<V>(rows).run();
}

}  // namespace
}  // namespace binade::simd
