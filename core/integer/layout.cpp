// The reference of operations that move codes: slice, pad, reshape.
#include <cstring>

#include "core/integer/requant.hpp"

namespace binade::interpreter {

void execute(const SliceInstr& instr, const Machine& machine) {
  const std::byte* in = machine.read(instr.in);
  std::byte* out = machine.write(instr.out);
  const Shape &from = instr.in.shape, &to = instr.out.shape;
  const auto along = [&](int axis, int i) {
    return instr.axis == axis ? instr.begin + std::int64_t{i} * instr.step : std::int64_t{i};
  };
  std::int64_t i = 0;
  for (int y = 0; y < to.h; ++y) {
    for (int x = 0; x < to.w; ++x) {
      const std::int64_t pixel = along(1, y) * from.w + along(2, x);
      for (int c = 0; c < to.c; ++c) {
        store_code(out, i++, instr.out.spec, load_code(in, pixel * from.c + along(3, c), instr.in.spec));
      }
    }
  }
  machine.statistics.codes += to.count();
}

void execute(const PadInstr& instr, const Machine& machine) {
  const std::byte* in = machine.read(instr.in);
  std::byte* out = machine.write(instr.out);
  const Shape &from = instr.in.shape, &to = instr.out.shape;
  for (std::int64_t i = 0; i < to.count(); ++i) store_code(out, i, instr.out.spec, instr.fill);
  std::vector<std::int32_t> row(static_cast<std::size_t>(from.c));
  for (int y = 0; y < from.h; ++y) {
    for (int x = 0; x < from.w; ++x) {
      load_codes(in, (std::int64_t{y} * from.w + x) * from.c, instr.in.spec, row);
      const std::int64_t pixel = (std::int64_t{y} + instr.top) * to.w + x + instr.left;
      store_codes(out, pixel * to.c + instr.first_channel, instr.out.spec, row);
    }
  }
  machine.statistics.codes += to.count();
}

void execute(const ReshapeInstr& instr, const Machine& machine) {
  std::memcpy(machine.write(instr.out), machine.read(instr.in), static_cast<std::size_t>(bytes_of(instr.out)));
  machine.statistics.codes += instr.out.shape.count();
}

}  // namespace binade::interpreter
