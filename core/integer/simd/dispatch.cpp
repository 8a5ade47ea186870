// The list of tables.
#include "core/integer/simd/dispatch.hpp"

namespace binade::integer {

const Kernels& kernels_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512) return kernels_avx512;
  if (isa == Isa::avx2) return kernels_avx2;
#endif
  static_cast<void>(isa);
  return kernels_portable;
}

}  // namespace binade::integer
