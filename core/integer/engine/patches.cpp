// Takes convolutions apart into runs of bytes, and gathers them.
#include "core/integer/engine/patches.hpp"

#include <algorithm>
#include <cstring>

namespace binade::integer {
namespace {

/// An axis of a phase: for each tap of the kernel that it meets, the distance from the base pixel.
struct Axis {
  int out = 0, step = 1, count = 0, stride = 1;
  std::vector<std::pair<int, int>> taps;  ///< tap, distance
};

Axis ordinary_axis(int extent, int kernel, int stride, int pad, int dilation) {
  Axis axis{.count = extent, .stride = stride};
  for (int i = 0; i < kernel; ++i) axis.taps.emplace_back(i, i * dilation - pad);
  return axis;
}

/// Outputs y with (y + pad) % stride == residue: y + pad = a * stride + i * dilation has a solution a for the taps i
/// whose i * dilation leaves that residue.
Axis transposed_axis(int residue, int extent, int kernel, int stride, int pad, int dilation) {
  Axis axis{.out = ((residue - pad) % stride + stride) % stride, .step = stride};
  axis.count = axis.out < extent ? ceil_div(extent - axis.out, stride) : 0;
  const int base = (axis.out + pad) / stride;
  for (int i = 0; i < kernel; ++i) {
    if (i * dilation % stride == residue) axis.taps.emplace_back(i, base + (residue - i * dilation) / stride);
  }
  return axis;
}

/// Whole kernel lines are one run when pixels are packed without gaps; else each tap is one, rounded up to four bytes.
/// Channels are counted in bytes.
void add_runs(Phase& phase, const Axis& rows, const Axis& columns, int channels, bool joined) {
  const int taps = static_cast<int>(columns.taps.size()), pixel = joined ? channels : round_up(channels, 4);
  phase.run_pixels = joined ? taps : 1;
  phase.run_bytes = phase.run_pixels * pixel;
  phase.line_runs = joined ? 1 : taps;
  int offset = 0;
  for (const auto& [i, dy] : rows.taps) {
    for (const auto& [j, dx] : columns.taps) {
      if (!joined || j == 0) phase.runs.push_back({dy, dx});
      phase.taps.push_back({i, j, offset});
      offset += pixel;
    }
  }
  phase.quads = ceil_div(offset, 4);
}

Phase phase_of(const Axis& y, const Axis& x) {
  return {.out_y = y.out,
          .out_x = x.out,
          .step_y = y.step,
          .step_x = x.step,
          .rows = y.count,
          .columns = x.count,
          .stride_y = y.stride,
          .stride_x = x.stride};
}

}  // namespace

std::vector<Phase> phases_of(const ConvInstr& conv, const EngineTensor& in) {
  const int channels = in.shape.c / conv.groups * code_bytes(in.spec);
  const Shape& out = conv.out.shape;
  std::vector<Phase> phases;
  if (!conv.transposed) {
    const Axis y = ordinary_axis(out.h, conv.kernel_h, conv.stride_h, conv.pad_top, conv.dilation_h);
    const Axis x = ordinary_axis(out.w, conv.kernel_w, conv.stride_w, conv.pad_left, conv.dilation_w);
    phases.push_back(phase_of(y, x));
    const bool joined = in.pitch % kLanes != 0 && conv.groups == 1 && conv.dilation_w == 1;
    add_runs(phases.back(), y, x, channels, joined);
    return phases;
  }
  for (int ry = 0; ry < conv.stride_h; ++ry) {
    const Axis y = transposed_axis(ry, out.h, conv.kernel_h, conv.stride_h, conv.pad_top, conv.dilation_h);
    for (int rx = 0; rx < conv.stride_w; ++rx) {
      const Axis x = transposed_axis(rx, out.w, conv.kernel_w, conv.stride_w, conv.pad_left, conv.dilation_w);
      if (y.count == 0 || x.count == 0) continue;
      phases.push_back(phase_of(y, x));
      add_runs(phases.back(), y, x, channels, false);
    }
  }
  return phases;
}

namespace {

/// Columns of a line of a phase whose runs lie inside the image's width: [begin, end).
std::pair<int, int> inner_columns(const Phase& phase, int width) {
  int left = 0, right = 0;  // how far runs reach before and after their base pixel
  for (const Run& run : phase.runs) {
    left = std::max(left, -run.dx);
    right = std::max(right, run.dx + phase.run_pixels);
  }
  const int begin = std::min(phase.columns, ceil_div(left, phase.stride_x));
  const int end = width < right ? 0 : (width - right) / phase.stride_x + 1;
  return {begin, std::max(begin, std::min(phase.columns, end))};
}

}  // namespace

Gatherer::Gatherer(const Kernels& kernels, const Phase& phase, const EngineTensor& in)
    : kernels_(kernels),
      phase_(phase),
      in_(in),
      inner_(inner_columns(phase, in.shape.w)),
      outside_(padded_line_bytes()) {
  fill_zero(in, outside_.data(), outside_.size());
}

std::size_t Gatherer::padded_line_bytes() const {
  const int pixels = phase_.columns * phase_.stride_x + phase_.run_pixels;
  return round_up(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(in_.pitch) + kTailBytes, 64);
}

std::size_t Gatherer::scratch_bytes(std::int64_t pixels) const {
  const std::size_t runs = phase_.runs.size();
  const std::size_t lines = phase_.run_pixels > 1 ? runs * padded_line_bytes() : 0;
  return round_up(sizeof(void*) * runs, 64) + lines + static_cast<std::size_t>(pixels * 4 * phase_.quads) + kTailBytes;
}

RunRange Gatherer::runs_of(int line) const {
  RunRange runs{0, static_cast<int>(phase_.runs.size())};
  if (in_.stored_zero() != 0 || phase_.run_pixels > 1 || phase_.run_bytes % 4 != 0) return runs;
  const auto is_inside = [&](int run) {
    const int y = line * phase_.stride_y + phase_.runs[static_cast<std::size_t>(run)].dy;
    return y >= 0 && y < in_.shape.h;
  };
  while (runs.begin < runs.end && !is_inside(runs.begin)) runs.begin += phase_.line_runs;
  while (runs.begin < runs.end && !is_inside(runs.end - 1)) runs.end -= phase_.line_runs;
  return runs;
}

const std::uint8_t* Gatherer::gather(const std::uint8_t* codes, std::int64_t begin, std::int64_t end, RunRange runs,
                                     std::uint8_t* scratch) const {
  const std::size_t count = phase_.runs.size();
  auto* const from = reinterpret_cast<const std::uint8_t**>(scratch);
  std::uint8_t* const lines = scratch + round_up(sizeof(void*) * count, 64);
  std::uint8_t* const first_row = phase_.run_pixels > 1 ? lines + count * padded_line_bytes() : lines;
  std::uint8_t* rows = first_row;
  while (begin < end) {
    const int line = static_cast<int>(begin / phase_.columns), first = static_cast<int>(begin % phase_.columns);
    const int last = static_cast<int>(std::min<std::int64_t>(phase_.columns, first + end - begin));
    gather_line(codes, line, first, last, runs, {from, lines, rows});
    rows += std::ptrdiff_t{last - first} * 4 * quads_of(runs);
    begin += last - first;
  }
  return first_row;
}

/// Columns whose runs lie inside the image's width together, those at the border one by one or through padded lines.
void Gatherer::gather_line(const std::uint8_t* codes, int line, int first, int last, RunRange runs,
                           Buffers buffers) const {
  for (int c = first; c < last;) {
    const bool inner = c >= inner_.first && c<inner_.second, packed = phase_.run_pixels> 1;
    int end = c + 1;
    if (inner) {
      end = std::min(last, inner_.second);
    } else if (packed) {
      end = c < inner_.first ? std::min(last, inner_.first) : last;
    }
    for (int r = runs.begin; r < runs.end; ++r) {
      const Run& run = phase_.runs[static_cast<std::size_t>(r)];
      const int y = line * phase_.stride_y + run.dy, x = c * phase_.stride_x + run.dx;
      const std::uint8_t* const pixels = codes + (std::ptrdiff_t{y} * in_.shape.w) * in_.pitch;
      const bool row_inside = y >= 0 && y < in_.shape.h;
      if (!row_inside || (!inner && !packed && (x < 0 || x >= in_.shape.w))) {
        buffers.from[r] = outside_.data();
      } else if (inner || !packed) {
        buffers.from[r] = pixels + std::ptrdiff_t{x} * in_.pitch;
      } else {
        std::uint8_t* const padded = buffers.lines + static_cast<std::size_t>(r) * padded_line_bytes();
        pad_line(pixels, x, (end - 1 - c) * phase_.stride_x + phase_.run_pixels, padded);
        buffers.from[r] = padded;
      }
    }
    copy(buffers.from, runs, end - c, buffers.rows);
    buffers.rows += std::ptrdiff_t{end - c} * 4 * quads_of(runs);
    c = end;
  }
}

/// The pixels [x, x + count) of a line, with zero points where it has none. Few bytes at a time: each part is written
/// in whole vectors, and the next one corrects what was too much.
void Gatherer::pad_line(const std::uint8_t* line, int x, int count, std::uint8_t* to) const {
  constexpr int kVector = 16;
  const int begin = std::clamp(x, 0, in_.shape.w), end = std::clamp(x + count, begin, in_.shape.w);
  const int left = (begin - x) * in_.pitch, inside = (end - begin) * in_.pitch, all = count * in_.pitch;
  const std::uint8_t* const from = line + std::ptrdiff_t{begin} * in_.pitch;
  for (int i = 0; i < left; i += kVector) std::memcpy(to + i, outside_.data(), kVector);
  for (int i = 0; i < inside; i += kVector) std::memcpy(to + left + i, from + i, kVector);
  for (int i = left + inside; i < all; i += kVector) std::memcpy(to + i, outside_.data(), kVector);
}

void Gatherer::copy(const std::uint8_t* const* from, RunRange runs, int pixels, std::uint8_t* rows) const {
  kernels_.gather({.from = from + runs.begin,
                   .runs = runs.end - runs.begin,
                   .run_bytes = phase_.run_bytes,
                   .step = std::ptrdiff_t{phase_.stride_x} * in_.pitch,
                   .pixels = pixels,
                   .rows = rows,
                   .row_bytes = 4 * std::ptrdiff_t{quads_of(runs)}});
}

}  // namespace binade::integer
