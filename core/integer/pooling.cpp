// The reference of pooling.
#include <algorithm>

#include "core/integer/requant.hpp"

namespace binade::interpreter {
namespace {

/// The rows (or columns) of a window: [begin, end) of the input.
struct Span {
  std::int64_t begin, end;

  Span(std::int64_t at, std::int64_t stride, std::int64_t pad, std::int64_t kernel)
      : begin(at * stride - pad), end(begin + kernel) {}
  Span inside(std::int64_t first, std::int64_t last) const {
    Span cut = *this;
    cut.begin = std::max(begin, first);
    cut.end = std::min(end, last);
    return cut;
  }
  std::int64_t length() const { return end - begin; }
};

/// Calls body(p, rows, columns, statistics) for every output pixel with its whole window.
template <class Instr, class Body>
void for_windows(const Instr& instr, const Machine& machine, const Body& body) {
  const Shape& out = instr.out.shape;
  const std::int64_t work = std::int64_t{out.c} * instr.kernel_h * instr.kernel_w;
  for_ranges(machine, out.pixels(), pixel_grain(work), [&](std::int64_t begin, std::int64_t end, auto& statistics) {
    for (std::int64_t p = begin; p < end; ++p) {
      body(p, Span(p / out.w, instr.stride_h, instr.pad_top, instr.kernel_h),
           Span(p % out.w, instr.stride_w, instr.pad_left, instr.kernel_w), statistics);
    }
  });
}

/// Calls body(codes) with the channels of every pixel of the window inside the input.
template <class Body>
void for_codes(const Region& in, const std::byte* codes, const Span& rows, const Span& columns,
               std::vector<std::int32_t>& row, const Body& body) {
  const Shape& s = in.shape;
  for (std::int64_t y = rows.begin; y < rows.end; ++y) {
    for (std::int64_t x = columns.begin; x < columns.end; ++x) {
      load_codes(codes, (y * s.w + x) * s.c, in.spec, row);
      body();
    }
  }
}

}  // namespace

void execute(const MaxPoolInstr& instr, const Machine& machine) {
  const std::byte* in = machine.read(instr.in);
  std::byte* out = machine.write(instr.out);
  const Shape& s = instr.in.shape;
  const auto channels = static_cast<std::size_t>(s.c);
  for_windows(instr, machine, [&](std::int64_t p, Span rows, Span columns, InstructionStatistics& statistics) {
    std::vector<std::int32_t> row(channels), largest(channels, INT32_MIN);
    for_codes(instr.in, in, rows.inside(0, s.h), columns.inside(0, s.w), row, [&] {
      for (std::size_t c = 0; c < channels; ++c) largest[c] = std::max(largest[c], row[c]);
    });
    store_codes(out, p * s.c, instr.out.spec, largest);
    statistics.codes += s.c;
  });
}

void execute(const AvgPoolInstr& instr, const Machine& machine) {
  const Requantizer requant(instr.requant, instr.out.spec, machine);
  const std::byte* in = machine.read(instr.in);
  std::byte* out = machine.write(instr.out);
  const Shape& s = instr.in.shape;
  const auto channels = static_cast<std::size_t>(s.c);
  for_windows(instr, machine, [&](std::int64_t p, Span rows, Span columns, InstructionStatistics& statistics) {
    std::vector<std::int32_t> row(channels);
    std::vector<std::int64_t> sum(channels);
    const Span rows_in = rows.inside(0, s.h), columns_in = columns.inside(0, s.w);
    for_codes(instr.in, in, rows_in, columns_in, row, [&] {
      for (std::size_t c = 0; c < channels; ++c) sum[c] += row[c];
    });
    const std::int64_t divisor =
        instr.count_include_pad
            ? rows.inside(-std::int64_t{instr.pad_top}, std::int64_t{s.h} + instr.pad_bottom).length() *
                  columns.inside(-std::int64_t{instr.pad_left}, std::int64_t{s.w} + instr.pad_right).length()
            : rows_in.length() * columns_in.length();
    for (std::size_t c = 0; c < channels; ++c) {
      row[c] = requant(sum[c], static_cast<std::int64_t>(c), divisor, statistics);
    }
    store_codes(out, p * s.c, instr.out.spec, row);
  });
}

}  // namespace binade::interpreter
