// A second implementation of the integer machine, code by code from the formulas in program.hpp and nothing else.
#pragma once

#include <cstddef>
#include <span>

#include "core/integer/program.hpp"

namespace binade::reference {

/// Runs one instruction on the arena.
InstructionStatistics run_instruction(const Program& program, std::size_t index, std::span<std::byte> arena);

}  // namespace binade::reference
