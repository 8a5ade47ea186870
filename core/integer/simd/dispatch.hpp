// Chooses the table of kernels for an instruction set.
#pragma once

#include "core/base/cpu.hpp"
#include "core/integer/simd/kernels.hpp"

namespace binade::integer {

/// The fastest table that needs no more than `isa`.
const Kernels& kernels_for(Isa isa);

}  // namespace binade::integer
