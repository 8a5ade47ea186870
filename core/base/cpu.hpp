// Which instruction set the hot kernels use: chosen once, at run time.
#pragma once

#include <cstdint>
#include <string_view>

namespace binade {

/// `avx512` means F, BW, VL, DQ and VNNI together; `avx2` includes FMA. Every kernel has a portable form.
enum class Isa : std::uint8_t { portable, avx2, avx512 };

std::string_view to_string(Isa isa);

/// The widest that this processor and operating system offer.
Isa detected_isa();

/// The one of that name; null or empty means detected_isa().
/// @throws UsageError for an unknown name, or for one that this processor does not have
Isa isa_of_name(const char* name);

/// What the kernels use: isa_of_name(environment variable BINADE_ISA), read at the first call.
Isa active_isa();

}  // namespace binade
