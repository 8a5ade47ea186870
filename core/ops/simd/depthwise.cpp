// Chooses the depthwise kernels for this CPU.
#include "core/ops/simd/depthwise.hpp"

#include "core/base/cpu.hpp"

namespace binade::simd {

const DepthwiseKernels& depthwise() {
#if defined(__x86_64__)
  switch (active_isa()) {
    case Isa::avx512: return depthwise_avx512;
    case Isa::avx2: return depthwise_avx2;
    case Isa::portable: break;
  }
#endif
  return depthwise_portable;
}

}  // namespace binade::simd
