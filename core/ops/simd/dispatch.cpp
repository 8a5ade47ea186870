// Chooses the float kernels of convolutions, batch norm, softmax, codes and the quantizers' backward for this CPU.
#include "core/base/cpu.hpp"
#include "core/ops/simd/codes.hpp"
#include "core/ops/simd/depthwise.hpp"
#include "core/ops/simd/normalize.hpp"
#include "core/ops/simd/pointwise.hpp"
#include "core/ops/simd/quantize_gradient.hpp"
#include "core/ops/simd/softmax.hpp"

namespace binade::simd {
namespace {

template <class Kernels>
const Kernels& choose(const Kernels& avx512, const Kernels& avx2, const Kernels& portable) {
  switch (active_isa()) {
    case Isa::avx512: return avx512;
    case Isa::avx2: return avx2;
    case Isa::portable: break;
  }
  return portable;
}

}  // namespace

#if defined(__x86_64__)
const DepthwiseKernels& depthwise() {
  return choose(depthwise_avx512, depthwise_avx2, depthwise_portable);
}
const PointwiseKernels& pointwise() {
  return choose(pointwise_avx512, pointwise_avx2, pointwise_portable);
}
const NormalizeKernels& normalize() {
  return choose(normalize_avx512, normalize_avx2, normalize_portable);
}
QuantizeGradientKernel quantize_gradient() {
  return choose(quantize_gradient_avx512, quantize_gradient_avx2, quantize_gradient_portable);
}
SoftmaxKernel softmax() {
  return choose(softmax_avx512, softmax_avx2, softmax_portable);
}
const CodeKernels* codes() {
  return active_isa() == Isa::avx512 ? &codes_avx512 : nullptr;
}
#else
const DepthwiseKernels& depthwise() {
  return depthwise_portable;
}
const PointwiseKernels& pointwise() {
  return pointwise_portable;
}
const NormalizeKernels& normalize() {
  return normalize_portable;
}
QuantizeGradientKernel quantize_gradient() {
  return quantize_gradient_portable;
}
SoftmaxKernel softmax() {
  return softmax_portable;
}
const CodeKernels* codes() {
  return nullptr;
}
#endif

}  // namespace binade::simd
