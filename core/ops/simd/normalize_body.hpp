// Batch norm's sweeps for any vector type; included once per instruction set.
#pragma once

#include "core/ops/simd/normalize.hpp"

namespace binade::simd {
namespace {

/// Pixels whose sums stay in float.
constexpr std::int64_t kBlock = 32;

/// Calls body(c, lanes) for all channels, a vector at a time.
template <class V, class Body>
void for_channels(std::int64_t channels, Body body) {
  for (std::int64_t c = 0; c < channels; c += V::width) {
    const std::int64_t left = channels - c;
    body(c, static_cast<int>(left < V::width ? left : V::width));
  }
}

template <class V>
typename V::Reg load_lanes(const float* p, int lanes) {
  return lanes == V::width ? V::load(p) : V::load(p, lanes);
}
template <class V>
void store_lanes(float* p, int lanes, typename V::Reg r) {
  lanes == V::width ? V::store(p, r) : V::store(p, lanes, r);
}

template <class V>
void add_lanes(typename V::Reg sum, int lanes, double* sums) {
  float each[V::width];
  V::store(each, sum);
  for (int i = 0; i < lanes; ++i) sums[i] += static_cast<double>(each[i]);
}

template <class V>
void apply(const NormalizeSweep& s, float* y) {
  const auto lo = V::set(s.lo), hi = V::set(s.hi);
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const float* x = s.x + p * s.channels;
    for_channels<V>(s.channels, [&](std::int64_t c, int lanes) {
      const auto scaled = V::mul(load_lanes<V>(x + c, lanes), load_lanes<V>(s.scale + c, lanes));
      const auto shifted = V::add(scaled, load_lanes<V>(s.shift + c, lanes));
      store_lanes<V>(y + p * s.channels + c, lanes, V::clamp(shifted, lo, hi));
    });
  }
}

/// Adds term(d) of d = x - center over blocks of pixels.
template <class V, class Term>
void add_terms(const NormalizeSweep& s, const float* center, double* sums, Term term) {
  for (std::int64_t begin = 0; begin < s.pixels; begin += kBlock) {
    const std::int64_t end = begin + kBlock < s.pixels ? begin + kBlock : s.pixels;
    for_channels<V>(s.channels, [&](std::int64_t c, int lanes) {
      const auto mean = load_lanes<V>(center + c, lanes);
      auto sum = V::set(0);
      for (std::int64_t p = begin; p < end; ++p) {
        sum = V::add(sum, term(V::sub(load_lanes<V>(s.x + p * s.channels + c, lanes), mean)));
      }
      add_lanes<V>(sum, lanes, sums + c);
    });
  }
}

template <class V>
void sum(const NormalizeSweep& s, const float* center, double* sums) {
  add_terms<V>(s, center, sums, [](typename V::Reg d) { return d; });
}

template <class V>
void squares(const NormalizeSweep& s, const float* center, double* sums) {
  add_terms<V>(s, center, sums, [](typename V::Reg d) { return V::mul(d, d); });
}

/// The gradient that passes the clamp.
template <class V>
typename V::Reg passed(typename V::Reg x, typename V::Reg dy, typename V::Reg scale, typename V::Reg shift,
                       typename V::Reg lo, typename V::Reg hi) {
  return V::inside(V::add(V::mul(x, scale), shift), lo, hi, dy);
}

template <class V>
void gradient_sums(const NormalizeSweep& s, const float* center, double* sums) {
  const auto lo = V::set(s.lo), hi = V::set(s.hi);
  for (std::int64_t begin = 0; begin < s.pixels; begin += kBlock) {
    const std::int64_t end = begin + kBlock < s.pixels ? begin + kBlock : s.pixels;
    for_channels<V>(s.channels, [&](std::int64_t c, int lanes) {
      const auto scale = load_lanes<V>(s.scale + c, lanes), shift = load_lanes<V>(s.shift + c, lanes);
      const auto mean = load_lanes<V>(center + c, lanes);
      auto plain = V::set(0), weighted = V::set(0);
      for (std::int64_t p = begin; p < end; ++p) {
        const auto x = load_lanes<V>(s.x + p * s.channels + c, lanes);
        const auto g = passed<V>(x, load_lanes<V>(s.dy + p * s.channels + c, lanes), scale, shift, lo, hi);
        plain = V::add(plain, g);
        weighted = V::add(weighted, V::mul(g, V::sub(x, mean)));
      }
      add_lanes<V>(plain, lanes, sums + c);
      add_lanes<V>(weighted, lanes, sums + s.channels + c);
    });
  }
}

template <class V>
void gradient(const NormalizeSweep& s, const float* by_gradient, const float* by_value, const float* constant, bool add,
              float* dx) {
  const auto lo = V::set(s.lo), hi = V::set(s.hi);
  for (std::int64_t p = 0; p < s.pixels; ++p) {
    const std::int64_t at = p * s.channels;
    for_channels<V>(s.channels, [&](std::int64_t c, int lanes) {
      const auto x = load_lanes<V>(s.x + at + c, lanes);
      const auto g = passed<V>(x, load_lanes<V>(s.dy + at + c, lanes), load_lanes<V>(s.scale + c, lanes),
                               load_lanes<V>(s.shift + c, lanes), lo, hi);
      const auto rest = V::add(V::mul(load_lanes<V>(by_value + c, lanes), x), load_lanes<V>(constant + c, lanes));
      auto d = V::add(V::mul(load_lanes<V>(by_gradient + c, lanes), g), rest);
      if (add) d = V::add(load_lanes<V>(dx + at + c, lanes), d);
      store_lanes<V>(dx + at + c, lanes, d);
    });
  }
}

template <class V>
constexpr NormalizeKernels kNormalize{apply<V>, sum<V>, squares<V>, gradient_sums<V>, gradient<V>};

}  // namespace
}  // namespace binade::simd
