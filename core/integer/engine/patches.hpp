// Which input bytes meet which weights: a convolution as products of gathered rows with packed weights.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/integer/engine/tensor.hpp"
#include "core/integer/program.hpp"

namespace binade::integer {

/// Bytes of a gathered row that lie side by side in the input too: `width` pixels from (dy, dx) on.
struct Run {
  int dy, dx, width;
  int bytes;   ///< to copy
  int offset;  ///< in the gathered row
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
  std::vector<Run> runs;
  std::vector<TapPlace> taps;
  int quads = 0;  ///< a gathered row has 4 * quads bytes

  std::int64_t pixels() const { return std::int64_t{rows} * columns; }
  /// Its pixels are all of the output, which lie side by side.
  bool is_whole() const { return step_y == 1 && step_x == 1; }
};

std::vector<Phase> phases_of(const ConvInstr& conv, const EngineTensor& in);

/// Copies what the pixels of a phase meet into rows of a matrix.
class Gatherer {
 public:
  Gatherer(const Kernels& kernels, const Phase& phase, const EngineTensor& in);

  /// The rows of the pixels [begin, end), counted line by line; `codes` points at the first channel wanted. Outside the
  /// image there is the zero point. Up to kTailBytes behind the last row are overwritten.
  void gather(const std::uint8_t* codes, std::int64_t begin, std::int64_t end, std::uint8_t* rows) const;

 private:
  const Kernels& kernels_;
  const Phase phase_;
  const EngineTensor in_;
  std::pair<int, int> inner_;  ///< columns whose runs lie inside the image's width
  std::vector<RunCopy> copies_;
};

}  // namespace binade::integer
