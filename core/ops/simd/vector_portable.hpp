// The vector type of the convolution kernels on any CPU: four lanes that the compiler maps to what there is.
#pragma once

#include <cmath>

namespace binade::simd {
namespace {

struct Vector128 {
  struct Reg {
    float lane[4];
  };
  static constexpr int width = 4;
  static constexpr int kPixels = 4;
  static constexpr int kWeightVectors = 2;
  static constexpr int kAccumulators = 8, kMaxVectors = 2;
  template <class F>
  static Reg each(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  static Reg load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static Reg load(const float* p, int n) {
    return each([&](int i) { return i < n ? p[i] : 0.0f; });
  }
  /// `fill` in the lanes beyond n.
  static Reg load(const float* p, int n, Reg fill) {
    return each([&](int i) { return i < n ? p[i] : fill.lane[i]; });
  }
  static void store(float* p, Reg r) { store(p, width, r); }
  static void store(float* p, int n, Reg r) {
    for (int i = 0; i < n; ++i) p[i] = r.lane[i];
  }
  static Reg set(float f) { return {{f, f, f, f}}; }
  static Reg add(Reg a, Reg b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Reg sub(Reg a, Reg b) {
    return each([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  /// g where lo < y < hi, else 0.
  static Reg inside(Reg y, Reg lo, Reg hi, Reg g) {
    return each([&](int i) { return lo.lane[i] < y.lane[i] && y.lane[i] < hi.lane[i] ? g.lane[i] : 0.0f; });
  }
  static Reg mul(Reg a, Reg b) {
    return each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Reg fma(Reg a, Reg b, Reg c) {
    return each([&](int i) { return c.lane[i] + a.lane[i] * b.lane[i]; });
  }
  static Reg clamp(Reg r, Reg lo, Reg hi) {
    return each([&](int i) {
      const float above = lo.lane[i] > r.lane[i] ? lo.lane[i] : r.lane[i];
      return hi.lane[i] < above ? hi.lane[i] : above;
    });
  }
  static Reg round_half_up(Reg r) {
    return each([&](int i) {
      const float floor = std::floor(r.lane[i]);
      return r.lane[i] - floor >= 0.5f ? floor + 1 : floor;
    });
  }
  static float sum(Reg r) { return (r.lane[0] + r.lane[2]) + (r.lane[1] + r.lane[3]); }
  static float largest(Reg r) {
    const float a = r.lane[0] > r.lane[2] ? r.lane[0] : r.lane[2], b = r.lane[1] > r.lane[3] ? r.lane[1] : r.lane[3];
    return a > b ? a : b;
  }
  /// 2^n of whole numbers from -126 to 127.
  static Reg power_of_two(Reg n) {
    return each([&](int i) { return std::exp2(n.lane[i]); });
  }
};

}  // namespace
}  // namespace binade::simd
