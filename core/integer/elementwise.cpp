// The reference of operations on single codes: add, mul, rescale, table.
#include "core/integer/requant.hpp"

namespace binade::interpreter {
namespace {

/// An operand of an operation with a larger output: axes of extent 1 are broadcast.
struct Operand {
  const std::byte* codes;
  const Region& region;

  /// The channels of output pixel (y, x), one per channel of `row`.
  void load(int y, int x, std::span<std::int32_t> row) const {
    const Shape& s = region.shape;
    const std::int64_t pixel = std::int64_t{s.h == 1 ? 0 : y} * s.w + (s.w == 1 ? 0 : x);
    if (s.c != 1) return load_codes(codes, pixel * s.c, region.spec, row);
    const std::int32_t code = load_code(codes, pixel, region.spec);
    for (std::int32_t& to : row) to = code;
  }
};

/// out = requant(combine(a, b)) for every code.
template <class Instr, class Combine>
void binary(const Instr& instr, const Machine& machine, const Combine& combine) {
  const Requantizer requant(instr.requant, instr.out.spec, machine);
  const Operand a{machine.read(instr.a), instr.a}, b{machine.read(instr.b), instr.b};
  std::byte* out = machine.write(instr.out);
  const Shape& s = instr.out.shape;
  const auto channels = static_cast<std::size_t>(s.c);
  for_ranges(machine, s.pixels(), pixel_grain(s.c), [&](std::int64_t begin, std::int64_t end, auto& statistics) {
    std::vector<std::int32_t> row_a(channels), row_b(channels);
    for (std::int64_t p = begin; p < end; ++p) {
      const int y = static_cast<int>(p / s.w), x = static_cast<int>(p % s.w);
      a.load(y, x, row_a);
      b.load(y, x, row_b);
      for (std::size_t c = 0; c < channels; ++c) {
        const auto channel = static_cast<std::int64_t>(c);
        row_a[c] = requant(combine(std::int64_t{row_a[c]}, std::int64_t{row_b[c]}), channel, statistics);
      }
      store_codes(out, p * s.c, instr.out.spec, row_a);
    }
  });
}

}  // namespace

void execute(const AddInstr& instr, const Machine& machine) {
  binary(instr, machine, [&](std::int64_t a, std::int64_t b) {
    return round_shift(a, -instr.shift_a) + round_shift(b, -instr.shift_b);
  });
}

void execute(const MulInstr& instr, const Machine& machine) {
  binary(instr, machine, [](std::int64_t a, std::int64_t b) { return a * b; });
}

void execute(const RescaleInstr& instr, const Machine& machine) {
  const Requantizer requant(instr.requant, instr.out.spec, machine);
  const std::byte* in = machine.read(instr.in);
  std::byte* out = machine.write(instr.out);
  const std::int64_t channels = instr.in.shape.c;
  for_ranges(machine, instr.in.shape.pixels(), pixel_grain(channels),
             [&](std::int64_t begin, std::int64_t end, auto& statistics) {
               std::vector<std::int32_t> row(static_cast<std::size_t>(channels));
               for (std::int64_t p = begin; p < end; ++p) {
                 load_codes(in, p * channels, instr.in.spec, row);
                 std::int64_t channel = 0;
                 for (std::int32_t& code : row) code = requant(code, channel++, statistics);
                 store_codes(out, p * instr.out.shape.c + instr.first_channel, instr.out.spec, row);
               }
             });
}

void execute(const TableInstr& instr, const Machine& machine) {
  const std::byte *in = machine.read(instr.in), *table = machine.constants(instr.table);
  std::byte* out = machine.write(instr.out);
  const std::int64_t first = instr.in.spec.min_code();
  for_ranges(machine, instr.in.shape.count(), pixel_grain(1),
             [&](std::int64_t begin, std::int64_t end, auto& statistics) {
               for (std::int64_t i = begin; i < end; ++i) {
                 const std::int64_t entry = load_code(in, i, instr.in.spec) - first;
                 store_code(out, i, instr.out.spec, load_code(table, entry, instr.out.spec));
               }
               statistics.codes += end - begin;
             });
}

}  // namespace binade::interpreter
