// Backward of the quantizers for any vector type; included once per instruction set.
#pragma once

#include "core/ops/simd/quantize_gradient.hpp"

namespace binade::simd {
namespace {

template <class V>
class QuantizeGradientSweep {
 public:
  explicit QuantizeGradientSweep(const QuantizeGradient& sweep)
      : s_(sweep),
        clamp_lo_(V::set(sweep.clamp_lo)),
        clamp_hi_(V::set(sweep.clamp_hi)),
        lo_(V::set(sweep.lo)),
        hi_(V::set(sweep.hi)),
        pass_lo_(V::set(sweep.clamp_lo > sweep.lo ? sweep.clamp_lo : sweep.lo)),
        pass_hi_(V::set(sweep.clamp_hi < sweep.hi ? sweep.clamp_hi : sweep.hi)) {}

  template <bool kSum>
  double run() {
    double lanes[kLanes] = {};
    for (std::int64_t i = 0; i < s_.n;) {
      const std::int64_t end = i + kBlock < s_.n ? i + kBlock : s_.n;
      Reg sums[kRegs];
      for (Reg& sum : sums) sum = V::set(0);
      for (; i + kLanes <= end; i += kLanes) {
        for (int r = 0; r < kRegs; ++r) step<kSum>(i + r * V::width, sums[r]);
      }
      for (int r = 0; i < end && r < kRegs; ++r) {
        const std::int64_t left = end - i - r * V::width;
        if (left > 0) part<kSum>(i + r * V::width, static_cast<int>(left < V::width ? left : V::width), sums[r]);
      }
      i = end;
      if (kSum) add(sums, lanes);
    }
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
  }

 private:
  using Reg = typename V::Reg;
  static constexpr int kLanes = 16, kRegs = kLanes / V::width;
  static constexpr std::int64_t kBlock = 32 * kLanes;

  template <bool kSum>
  void step(std::int64_t i, Reg& sum) const {
    const Reg x = V::load(s_.x + i), dy = V::load(s_.dy + i);
    if (kSum) sum = V::add(sum, term(x, V::load(s_.y + i), dy));
    if (s_.dx == nullptr) return;
    const Reg passed = V::inside(x, pass_lo_, pass_hi_, dy);
    V::store(s_.dx + i, s_.add ? V::add(V::load(s_.dx + i), passed) : passed);
  }
  template <bool kSum>
  void part(std::int64_t i, int n, Reg& sum) const {
    const Reg x = V::load(s_.x + i, n), dy = V::load(s_.dy + i, n);
    if (kSum) sum = V::add(sum, term(x, V::load(s_.y + i, n), dy));
    if (s_.dx == nullptr) return;
    const Reg passed = V::inside(x, pass_lo_, pass_hi_, dy);
    V::store(s_.dx + i, n, s_.add ? V::add(V::load(s_.dx + i, n), passed) : passed);
  }
  Reg term(Reg x, Reg y, Reg dy) const {
    const Reg c = V::clamp(x, clamp_lo_, clamp_hi_);
    return V::mul(dy, V::sub(y, V::inside(c, lo_, hi_, c)));
  }
  static void add(const Reg (&sums)[kRegs], double* lanes) {
    for (int r = 0; r < kRegs; ++r) {
      float each[V::width];
      V::store(each, sums[r]);
      for (int k = 0; k < V::width; ++k) lanes[r * V::width + k] += static_cast<double>(each[k]);
    }
  }

  const QuantizeGradient& s_;
  Reg clamp_lo_, clamp_hi_, lo_, hi_, pass_lo_, pass_hi_;
};

template <class V>
double quantize_gradient_with(const QuantizeGradient& sweep, bool with_sum) {
  QuantizeGradientSweep<V> vectors(sweep);
  return with_sum ? vectors.template run<true>() : vectors.template run<false>();
}

}  // namespace
}  // namespace binade::simd
