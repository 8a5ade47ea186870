// Random programs of the integer machine: valid, odd in shape and extreme in value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/random.hpp"
#include "core/integer/program.hpp"

namespace binade::harness {

struct ProgramKind {
  int operation = -1;    ///< index in Operation's list of alternatives; -1: any, for each instruction
  int instructions = 1;  ///< each reads a tensor that is there, often the last one
  int max_extent = 9;    ///< of height and width
  int max_channels = 40;
  bool whole_bits = false;  ///< 8 and 16 bits only; otherwise sometimes 2..16
};

/// Always valid; the same for the same numbers. Some instructions write over tensors that nobody needs any more.
Program random_program(Random& random, const ProgramKind& kind = {});

/// The bytes of a region: uniform codes, or only the ends of the range, or mostly zeros.
std::vector<std::byte> random_codes(Random& random, const Region& region);

/// What a program makes of an input: the output's bytes and the whole arena, which held 0xa5 before.
struct ProgramRun {
  std::vector<std::byte> out;
  AlignedVector<std::byte> arena;
  RunStatistics statistics;
};
ProgramRun run_reference(const Program& program, const std::vector<std::byte>& in);

}  // namespace binade::harness
