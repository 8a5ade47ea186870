// What a convolution kernel does with a finished sum before it is stored: the elementwise ops that follow it.
//
// Included by files that are compiled for one instruction set only: no standard library here.
#pragma once

#include <cstdint>

namespace binade::simd {

/// A grid of FakeQuant with Rounding::half_up: x -> clamp(round(x * scale), lo, hi) * inverse, scale a power of two.
struct Grid {
  float scale = 1, inverse = 1, lo = 0, hi = 0;
};

/// In this order: to `before`, plus the residual, clamped to [clamp_lo, clamp_hi], to `after`. The arithmetic is that
/// of FakeQuant, Add, Relu and Clip, bit by bit.
struct Epilogue {
  const float* residual = nullptr;  ///< laid out as y; null: none
  bool quantize_before = false, clamp = false, quantize_after = false;
  Grid before, after;
  float clamp_lo = 0, clamp_hi = 0;

  bool does_something() const { return quantize_before || residual != nullptr || clamp || quantize_after; }
};

namespace {

template <class V, bool kPart>
inline typename V::Reg load(const float* p, int n) {
  if constexpr (kPart) return V::load(p, n);
  return V::load(p);
}

template <class V, bool kPart>
inline void store(float* p, int n, typename V::Reg r) {
  if constexpr (kPart) return V::store(p, n, r);
  V::store(p, r);
}

template <class V>
inline typename V::Reg to_grid(typename V::Reg r, const Grid& g) {
  const typename V::Reg code = V::clamp(V::round_half_up(V::mul(r, V::set(g.scale))), V::set(g.lo), V::set(g.hi));
  return V::mul(code, V::set(g.inverse));
}

/// Finishes kRows x kVectors sums and stores them at y, rows `stride` elements apart. With kPart the last vector has n
/// elements.
template <class V, int kRows, int kVectors, bool kPart>
inline __attribute__((always_inline)) void finish(typename V::Reg (&acc)[kRows][kVectors], const Epilogue& e, float* y,
                                                  std::int64_t offset, std::int64_t stride, int n) {
  if (e.quantize_before) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) acc[i][j] = to_grid<V>(acc[i][j], e.before);
    }
  }
  if (e.residual != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const float* from = e.residual + offset + i * stride;
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) {
        const float* at = from + j * V::width;
        acc[i][j] = V::add(acc[i][j], kPart && j == kVectors - 1 ? V::load(at, n) : V::load(at));
      }
    }
  }
  if (e.clamp) {
    const typename V::Reg lo = V::set(e.clamp_lo), hi = V::set(e.clamp_hi);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) acc[i][j] = V::clamp(acc[i][j], lo, hi);
    }
  }
  if (e.quantize_after) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) acc[i][j] = to_grid<V>(acc[i][j], e.after);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    float* to = y + offset + i * stride;
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      if (kPart && j == kVectors - 1) {
        V::store(to + j * V::width, n, acc[i][j]);
      } else {
        V::store(to + j * V::width, acc[i][j]);
      }
    }
  }
}

}  // namespace
}  // namespace binade::simd
