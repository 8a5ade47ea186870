// Asks the processor what it can do, and the user what it should do.
#include "core/base/cpu.hpp"

#include <cstdlib>
#include <string>

#include "core/base/error.hpp"

namespace binade {

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

Isa detected_isa() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx2 && avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa isa_of_name(const char* name) {
  const Isa detected = detected_isa();
  if (name == nullptr || *name == '\0') return detected;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (to_string(isa) != name) continue;
    if (isa > detected) {
      throw UsageError("BINADE_ISA=" + std::string(name) + ": this processor offers " +
                       std::string(to_string(detected)) + " at most; unset the variable to use what there is");
    }
    return isa;
  }
  throw UsageError("BINADE_ISA=" + std::string(name) + ": wanted one of portable, avx2, avx512");
}

Isa active_isa() {
  static const Isa isa = isa_of_name(std::getenv("BINADE_ISA"));
  return isa;
}

}  // namespace binade
