// Which input bytes meet which weights: a convolution as products of gathered rows with packed weights.
#pragma once

#include <cstdint>
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

/// Copies the rows of the pixels [begin, end) of a phase, counted row by row, for the input channels from
/// `first_channel` on. Outside the image there is the zero point. Up to 64 bytes behind the last row are overwritten.
void gather(const Phase& phase, const EngineTensor& in, const std::uint8_t* codes, int first_channel,
            std::int64_t begin, std::int64_t end, std::uint8_t* rows);

}  // namespace binade::integer
