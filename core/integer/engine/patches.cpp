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

/// Whole kernel rows are one run when pixels are packed without gaps; else each tap is one, rounded up to four bytes.
void add_runs(Phase& phase, const Axis& rows, const Axis& columns, int channels, bool joined) {
  int offset = 0;
  for (const auto& [i, dy] : rows.taps) {
    if (joined) {
      const int width = static_cast<int>(columns.taps.size());
      phase.runs.push_back({dy, columns.taps[0].second, width, width * channels, offset});
    }
    for (const auto& [j, dx] : columns.taps) {
      phase.taps.push_back({i, j, offset});
      if (!joined) phase.runs.push_back({dy, dx, 1, round_up(channels, 4), offset});
      offset += joined ? channels : round_up(channels, 4);
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

/// A pixel whose runs may leave the image.
void gather_pixel(const Phase& phase, const EngineTensor& in, const std::uint8_t* codes, int y, int x,
                  std::uint8_t* row) {
  for (const Run& run : phase.runs) {
    const int iy = y + run.dy, ix = x + run.dx;
    const bool row_inside = iy >= 0 && iy < in.shape.h;
    const std::uint8_t* from = codes + (std::ptrdiff_t{iy} * in.shape.w + ix) * in.pitch;
    if (row_inside && ix >= 0 && ix + run.width <= in.shape.w) {
      std::memcpy(row + run.offset, from, static_cast<std::size_t>(run.bytes));
      continue;
    }
    const int pixel = run.bytes / run.width;
    for (int j = 0; j < run.width; ++j) {
      std::uint8_t* to = row + run.offset + j * pixel;
      if (row_inside && ix + j >= 0 && ix + j < in.shape.w) {
        std::memcpy(to, from + std::ptrdiff_t{j} * in.pitch, static_cast<std::size_t>(pixel));
      } else {
        std::memset(to, in.zero(), static_cast<std::size_t>(pixel));
      }
    }
  }
}

}  // namespace

std::vector<Phase> phases_of(const ConvInstr& conv, const EngineTensor& in) {
  const int channels = in.shape.c / conv.groups;
  const Shape& out = conv.out.shape;
  std::vector<Phase> phases;
  if (!conv.transposed) {
    const Axis y = ordinary_axis(out.h, conv.kernel_h, conv.stride_h, conv.pad_top, conv.dilation_h);
    const Axis x = ordinary_axis(out.w, conv.kernel_w, conv.stride_w, conv.pad_left, conv.dilation_w);
    phases.push_back(phase_of(y, x));
    const bool joined = conv.groups == 1 && in.pitch == channels && (conv.dilation_w == 1 || conv.kernel_w == 1);
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
  int left = 0, right = 0;  // how far runs reach before and behind their base pixel
  for (const Run& run : phase.runs) {
    left = std::max(left, -run.dx);
    right = std::max(right, run.dx + run.width);
  }
  const int begin = std::min(phase.columns, ceil_div(left, phase.stride_x));
  const int end = width < right ? 0 : (width - right) / phase.stride_x + 1;
  return {begin, std::max(begin, std::min(phase.columns, end))};
}

bool rows_inside(const Phase& phase, int y, int height) {
  return std::all_of(phase.runs.begin(), phase.runs.end(),
                     [&](const Run& run) { return y + run.dy >= 0 && y + run.dy < height; });
}

}  // namespace

Gatherer::Gatherer(const Kernels& kernels, const Phase& phase, const EngineTensor& in)
    : kernels_(kernels), phase_(phase), in_(in), inner_(inner_columns(phase, in.shape.w)) {
  for (const Run& run : phase.runs) {
    const std::ptrdiff_t from = (std::ptrdiff_t{run.dy} * in.shape.w + run.dx) * in.pitch;
    copies_.push_back({from, run.offset, run.bytes});
  }
}

void Gatherer::gather(const std::uint8_t* codes, std::int64_t begin, std::int64_t end, std::uint8_t* rows) const {
  const std::ptrdiff_t row_bytes = 4 * std::ptrdiff_t{phase_.quads};
  while (begin < end) {
    const int r = static_cast<int>(begin / phase_.columns), first = static_cast<int>(begin % phase_.columns);
    const int last = static_cast<int>(std::min<std::int64_t>(phase_.columns, first + end - begin));
    const int y = r * phase_.stride_y;
    const bool inside = rows_inside(phase_, y, in_.shape.h);
    for (int c = first; c < last;) {
      const int x = c * phase_.stride_x;
      if (inside && c >= inner_.first && c < inner_.second) {
        const int pixels = std::min(last, inner_.second) - c;
        kernels_.gather({.in = codes + (std::ptrdiff_t{y} * in_.shape.w + x) * in_.pitch,
                         .in_step = std::ptrdiff_t{phase_.stride_x} * in_.pitch,
                         .rows = rows,
                         .row_bytes = row_bytes,
                         .pixels = pixels,
                         .runs = copies_.data(),
                         .run_count = static_cast<int>(copies_.size())});
        rows += pixels * row_bytes;
        c += pixels;
      } else {
        gather_pixel(phase_, in_, codes, y, x, rows);
        rows += row_bytes;
        ++c;
      }
    }
    begin += last - first;
  }
}

}  // namespace binade::integer
