// The depthwise kernels for any CPU: four lanes that the compiler maps to what there is.
#include "core/ops/simd/depthwise_body.hpp"

namespace binade::simd {
namespace {

struct Vector128 {
  struct Reg {
    float lane[4];
  };
  static constexpr int width = 4;
  static constexpr int kPixels = 4;
  static constexpr int kWeightVectors = 2;
  static Reg load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static Reg load(const float* p, int n) {
    Reg r{};
    for (int i = 0; i < n; ++i) r.lane[i] = p[i];
    return r;
  }
  static void store(float* p, Reg r) {
    for (int i = 0; i < width; ++i) p[i] = r.lane[i];
  }
  static void store(float* p, int n, Reg r) {
    for (int i = 0; i < n; ++i) p[i] = r.lane[i];
  }
  static Reg set(float f) { return {{f, f, f, f}}; }
  static Reg fma(Reg a, Reg b, Reg c) {
    for (int i = 0; i < width; ++i) c.lane[i] += a.lane[i] * b.lane[i];
    return c;
  }
  static Reg clamp(Reg r, Reg lo, Reg hi) {
    for (int i = 0; i < width; ++i) {
      if (r.lane[i] < lo.lane[i]) r.lane[i] = lo.lane[i];
      if (r.lane[i] > hi.lane[i]) r.lane[i] = hi.lane[i];
    }
    return r;
  }
};

}  // namespace

const DepthwiseKernels depthwise_portable{forward<Vector128>, backward_data<Vector128>, backward_weights<Vector128>};

}  // namespace binade::simd
