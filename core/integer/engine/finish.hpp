// Translates a Requant to the parameters of the kernels' last step.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/integer/engine/step.hpp"

namespace binade::integer {

/// A Finish with the slopes it points at, and what has to be added to the start of every accumulator for it.
struct Finishing {
  Finish finish;
  std::int32_t start = 0;
  std::vector<std::int32_t> slopes;  ///< one per channel, padded
};

/// Null when accumulators that may reach `acc_bound` do not fit in 32 bits. `may_fold`: the kernel has start values.
std::optional<Finishing> finishing_of(const Program& program, const Requant& requant, const Region& out,
                                      std::int64_t acc_bound, bool may_fold);

/// Of an addition of bytes; null where it has slopes or does not fit in 32 bits.
std::optional<Finishing> finishing_of_add(const Program& program, const AddInstr& add);

/// The rounding as kernels name it.
Round round_of(Rounding rounding);

/// One per channel and `padding` zeros, from the program's constants; empty where there are none.
std::vector<std::int32_t> slopes_of(const Program& program, const Requant& requant, int channels, int padding);

}  // namespace binade::integer
