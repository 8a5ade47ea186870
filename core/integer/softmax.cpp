// The reference of softmax: exponentials from a table, one exact division per code.
#include <algorithm>

#include "core/integer/requant.hpp"

namespace binade::interpreter {

void execute(const SoftmaxInstr& instr, const Machine& machine) {
  const Requantizer requant(instr.requant, instr.out.spec, machine);
  const std::byte *in = machine.read(instr.in), *exponentials = machine.constants(instr.exponentials);
  std::byte* out = machine.write(instr.out);
  const std::int64_t channels = instr.in.shape.c;
  for_ranges(machine, instr.in.shape.pixels(), pixel_grain(4 * channels),
             [&](std::int64_t begin, std::int64_t end, auto& statistics) {
               std::vector<std::int32_t> row(static_cast<std::size_t>(channels));
               for (std::int64_t p = begin; p < end; ++p) {
                 load_codes(in, p * channels, instr.in.spec, row);
                 const std::int32_t largest = *std::max_element(row.begin(), row.end());
                 std::int64_t sum = 0;
                 for (std::int32_t& code : row) {
                   code = load_int32(exponentials + std::int64_t{4} * std::min(largest - code, instr.count - 1));
                   sum += code;
                 }
                 std::int64_t channel = 0;
                 for (std::int32_t& code : row) code = requant(code, channel++, sum, statistics);
                 store_codes(out, p * channels, instr.out.spec, row);
               }
             });
}

}  // namespace binade::interpreter
