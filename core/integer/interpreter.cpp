// The reference interpreter: one instruction after the other.
#include <cstring>

#include "core/base/error.hpp"
#include "core/integer/requant.hpp"

namespace binade {
namespace {

/// Whether all codes are in the range of the spec; others would be outside of tables.
bool holds_codes(std::span<const std::byte> bytes, const Region& region) {
  const QuantSpec spec = region.spec;
  if (spec.bits == 8 || spec.bits == 16) return true;
  for (std::int64_t i = 0; i < region.shape.count(); ++i) {
    const std::int32_t code = load_code(bytes.data(), i, spec);
    if (code < spec.min_code() || code > spec.max_code()) return false;
  }
  return true;
}

}  // namespace

void RunStatistics::merge(const RunStatistics& other) {
  if (instructions.empty()) instructions.resize(other.instructions.size());
  require(other.instructions.empty() || instructions.size() == other.instructions.size(),
          "RunStatistics::merge: statistics of two different programs");
  for (std::size_t i = 0; i < other.instructions.size(); ++i) {
    interpreter::merge(instructions[i], other.instructions[i]);
  }
}

void run(const Program& program, std::span<const std::byte> in, std::span<std::byte> out, std::span<std::byte> arena,
         const Interpretation& how) {
  require(static_cast<std::int64_t>(in.size()) == bytes_of(program.input), "run: the input has the wrong size");
  require(holds_codes(in, program.input), "run: the input holds codes that its spec does not have");
  require(static_cast<std::int64_t>(out.size()) == bytes_of(program.output), "run: the output has the wrong size");
  require(arena.size() >= program.arena_bytes, "run: the arena is too small");
  require(reinterpret_cast<std::uintptr_t>(arena.data()) % kRegionAlignment == 0, "run: the arena is not aligned");
  RunStatistics statistics{std::vector<InstructionStatistics>(program.code.size())};
  const auto report = [&](std::size_t done) {
    if (how.after != nullptr) how.after(how.context, static_cast<std::int32_t>(done) - 1);
  };
  std::memcpy(arena.data() + program.input.offset, in.data(), in.size());
  report(0);
  for (std::size_t i = 0; i < program.code.size(); ++i) {
    const interpreter::Machine machine{program, arena.data(), statistics.instructions[i]};
    std::visit([&](const auto& instr) { interpreter::execute(instr, machine); }, program.code[i].operation);
    report(i + 1);
  }
  std::memcpy(out.data(), arena.data() + program.output.offset, out.size());
  if (how.statistics != nullptr) how.statistics->merge(statistics);
}

}  // namespace binade
