// FakeQuant, on a fixed grid, and Pact, whose grid follows a learned clip.
#include <cmath>
#include <type_traits>

#include "core/ops/detail.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

void expect_grid(std::string_view op, int bits) {
  if (bits >= 2 && bits <= 32) return;
  throw DataError(std::string(op) + ": " + std::to_string(bits) + " bits, wanted 2 to 32");
}

/// From that many elements on, operand and result together leave the caches before anyone reads them again.
constexpr std::int64_t kStreamFrom = std::int64_t{1} << 22;

template <class T>
void quantize_view(View<const T> x, View<T> y, QuantSpec spec, Rounding rounding) {
  if constexpr (std::is_same_v<T, float>) {
    const bool stream = x.count() >= kStreamFrom;
    parallel_for(x.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
      simd::fake_quantize(x.data + begin, y.data + begin, end - begin, spec, rounding, stream);
    });
    return;
  }
  parallel_for(x.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y.data[i] = fake_quantize(x.data[i], spec, rounding);
  });
}

}  // namespace

Shape FakeQuant::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 1, 1);
  expect_grid(name, spec.bits);
  return in[0];
}

template <class T>
void FakeQuant::forward(const Forward<T>& f) const {
  quantize_view(f.in[0], f.out, spec, rounding);
}

template <class T>
void FakeQuant::backward(const Backward<T>& b) const {
  // The limits in units of x. They have bits + 1 significant bits: more than 23 do not fit a float, hence double.
  const double lo = std::ldexp(static_cast<double>(spec.min_code()) - 0.5, -spec.frac);
  const double hi = std::ldexp(static_cast<double>(spec.max_code()) + 0.5, -spec.frac);
  detail::map_gradient(
      b, [=](T x, T dy) { return lo < static_cast<double>(x) && static_cast<double>(x) < hi ? dy : T(0); });
}

Shape Pact::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 2, 2);
  expect_grid(name, bits);
  if (in[1] != channel_shape(1)) {
    throw DataError("Pact: alpha has shape " + to_string(in[1]) + ", wanted " + to_string(channel_shape(1)));
  }
  return in[0];
}

template <class T>
void Pact::forward(const Forward<T>& f) const {
  const double alpha = static_cast<double>(f.in[1].data[0]);
  if (!std::isfinite(alpha)) throw DataError("Pact: alpha is not a finite number; has the training diverged?");
  quantize_view(f.in[0], f.out, spec_for_clip(alpha, bits, is_signed), rounding);
}

template <class T>
void Pact::backward(const Backward<T>& b) const {
  const T hi = b.in[1].data[0], lo = is_signed ? -hi : T(0);
  detail::map_gradient(b, [=](T x, T dy) { return lo < x && x < hi ? dy : T(0); });
  if (!b.din[1]) return;
  const T *x = b.in[0].data, *dy = b.dout.data;
  const double sum = detail::chunked_sum(b.dout.count(), [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      if (x[i] >= hi) {
        part += static_cast<double>(dy[i]);
      } else if (is_signed && x[i] <= lo) {
        part -= static_cast<double>(dy[i]);
      }
    }
    return part;
  });
  b.din[1].data[0] += static_cast<T>(sum);
}

template void FakeQuant::forward(const Forward<float>&) const;
template void FakeQuant::forward(const Forward<double>&) const;
template void FakeQuant::backward(const Backward<float>&) const;
template void FakeQuant::backward(const Backward<double>&) const;
template void Pact::forward(const Forward<float>&) const;
template void Pact::forward(const Forward<double>&) const;
template void Pact::backward(const Backward<float>&) const;
template void Pact::backward(const Backward<double>&) const;

}  // namespace binade
