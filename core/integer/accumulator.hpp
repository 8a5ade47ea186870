// One accumulator of one instruction, for the report of a mismatch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/integer/program.hpp"

namespace binade {

/// The accumulator that gave element `index` (of the packed h x w x c result) of an instruction whose operands are in
/// the arena. Nothing for instructions that have none, and for elements that the instruction does not write.
std::optional<std::int64_t> accumulator_at(const Program& program, int instruction, std::span<const std::byte> arena,
                                           std::int64_t index);

/// The shift to the right that turns an instruction's accumulator into a code; 0 where there is none.
int shift_of(const Operation& operation);

}  // namespace binade
