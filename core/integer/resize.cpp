// The reference of resizing: four neighbours, weighted.
#include <algorithm>

#include "core/integer/requant.hpp"

namespace binade::interpreter {
namespace {

ResizeTap load_tap(const std::byte* taps, std::int64_t index) {
  const std::byte* at = taps + index * 12;
  return {load_int32(at), load_int32(at + 4), load_int32(at + 8)};
}

}  // namespace

void execute(const ResizeInstr& instr, const Machine& machine) {
  const Requantizer requant(instr.requant, instr.out.spec, machine);
  const std::byte *in = machine.read(instr.in), *rows = machine.constants(instr.rows),
                  *columns = machine.constants(instr.columns);
  std::byte* out = machine.write(instr.out);
  const Shape &from = instr.in.shape, &to = instr.out.shape;
  const std::int64_t one = std::int64_t{1} << instr.weight_bits;
  for_ranges(machine, to.pixels(), pixel_grain(4 * to.c), [&](std::int64_t begin, std::int64_t end, auto& statistics) {
    std::vector<std::int32_t> row(static_cast<std::size_t>(to.c));
    std::vector<std::int64_t> sum(row.size());
    for (std::int64_t p = begin; p < end; ++p) {
      const ResizeTap y = load_tap(rows, p / to.w), x = load_tap(columns, p % to.w);
      std::fill(sum.begin(), sum.end(), 0);
      const auto add = [&](std::int64_t at_y, std::int64_t at_x, std::int64_t weight) {
        load_codes(in, (at_y * from.w + at_x) * from.c, instr.in.spec, row);
        for (std::size_t c = 0; c < row.size(); ++c) sum[c] += weight * row[c];
      };
      add(y.first, x.first, (one - y.weight) * (one - x.weight));
      add(y.first, x.second, (one - y.weight) * x.weight);
      add(y.second, x.first, y.weight * (one - x.weight));
      add(y.second, x.second, std::int64_t{y.weight} * x.weight);
      for (std::size_t c = 0; c < row.size(); ++c) row[c] = requant(sum[c], static_cast<std::int64_t>(c), statistics);
      store_codes(out, p * to.c, instr.out.spec, row);
    }
  });
}

}  // namespace binade::interpreter
