// Which input bytes meet which weights: a convolution as products of gathered rows with packed weights.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/memory.hpp"
#include "core/integer/engine/step.hpp"
#include "core/integer/engine/tensor.hpp"
#include "core/integer/program.hpp"

namespace binade::integer {

/// Pixels side by side that a patch has in the input too, from (dy, dx) on.
struct Run {
  int dy, dx;
};

/// Where the weight of kernel position (i, j) and the first channel is in a gathered row.
struct TapPlace {
  int i, j, offset;
};

/// The output pixels (out_y + step_y * r, out_x + step_x * c): those of a transposed convolution that meet the same
/// taps, or all of an ordinary one. Pixel (r, c) gathers around the input pixel (stride_y * r, stride_x * c).
struct Phase {
  int out_y = 0, out_x = 0, step_y = 1, step_x = 1;
  int rows = 0, columns = 0;
  int stride_y = 1, stride_x = 1;
  std::vector<Run> runs;  ///< a gathered row is all of them, one after the other
  int run_pixels = 1;     ///< pixels of a run: one, or a whole line of the kernel where pixels have no gaps
  int run_bytes = 0;
  int line_runs = 1;  ///< runs per line of the kernel
  std::vector<TapPlace> taps;
  int quads = 0;  ///< a gathered row has 4 * quads bytes

  std::int64_t pixels() const { return std::int64_t{rows} * columns; }
  /// Its pixels are all of the output, which lie side by side.
  bool is_whole() const { return step_y == 1 && step_x == 1; }
};

std::vector<Phase> phases_of(const ConvInstr& conv, const EngineTensor& in);

/// Runs [begin, end) of a patch.
struct RunRange {
  int begin, end;
  friend bool operator==(const RunRange&, const RunRange&) = default;
};

/// Copies what the pixels of a phase meet into rows of a matrix.
class Gatherer {
 public:
  Gatherer(const Kernels& kernels, const Phase& phase, const EngineTensor& in);

  /// The runs of a line of the phase that add anything: those inside the image, where its zeros are bytes of zero.
  RunRange runs_of(int line) const;
  int quads_of(RunRange runs) const { return ceil_div((runs.end - runs.begin) * phase_.run_bytes, 4); }

  /// The rows of the pixels [begin, end), counted line by line, all of the same runs_of; `codes` points at the first
  /// channel wanted. Outside the image there is the zero point. Returns the rows, in `scratch`.
  const std::uint8_t* gather(const std::uint8_t* codes, std::int64_t begin, std::int64_t end, RunRange runs,
                             std::uint8_t* scratch) const;
  std::size_t scratch_bytes(std::int64_t pixels) const;

 private:
  struct Buffers {
    const std::uint8_t** from;  ///< per run
    std::uint8_t *lines, *rows;
  };
  void gather_line(const std::uint8_t* codes, int line, int first, int last, RunRange runs, Buffers buffers) const;
  void pad_line(const std::uint8_t* line, int x, int count, std::uint8_t* to) const;
  void copy(const std::uint8_t* const* from, RunRange runs, int pixels, std::uint8_t* rows) const;
  std::size_t padded_line_bytes() const;

  const Kernels& kernels_;
  const Phase phase_;
  const EngineTensor in_;
  std::pair<int, int> inner_;    ///< columns whose runs lie inside the image's width
  Block<std::uint8_t> outside_;  ///< a line of zero points
};

}  // namespace binade::integer
