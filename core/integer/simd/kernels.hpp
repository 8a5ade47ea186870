// The kernels of the integer engine: one table per instruction set, and every table makes the same bytes.
//
// Tensors of up to 8 bits are bytes, NHWC, `pitch` bytes per pixel, a multiple of 16 (what lies between the channels
// and the pitch is garbage that meets zero weights). An unsigned code k is the byte k, a signed one the byte k + 128:
// its tensor's `zero` is 128. So every kernel multiplies unsigned bytes with signed weights, and the surplus 128 *
// sum(w) is part of the start values. Accumulators are int32 modulo 2^32: sums may wrap on the way, what they end at
// does not.
//
// This header and what it includes must not contain an inline function with linkage: kernels are compiled for one
// processor each, and the linker would pick one copy for all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace binade::integer {

inline constexpr int kLanes = 16;       ///< channels of a panel of packed weights
inline constexpr int kMaxRows = 16;     ///< most pixels of one kernel call
inline constexpr int kMaxColumns = 64;  ///< most channels of one kernel call
inline constexpr int kTailBytes = 64;   ///< bytes after every buffer that must be readable, and for tensors writable

enum class Round : std::uint8_t { half_up, half_away, half_even };

/// How accumulators become bytes. With c the channel, v = acc without slopes, else acc >= 0 ? acc << slope_frac :
/// acc * slopes[c]:
/// @math folded:  byte = clamp(acc >> shift, lo, hi); the start values hold the rounding constant and zero << shift
///       else:    byte = clamp(round(v * 2^-shift) + zero, lo, hi); shift may be negative
/// `narrow`: 32 bits suffice: no slopes, 0 <= shift <= 30, and acc with a rounding constant does not overflow; else it
/// takes 64.
enum class FinishKind : std::uint8_t { folded, narrow, wide };
struct Finish {
  std::int32_t shift = 0;
  std::int32_t lo = 0, hi = 255;  ///< bytes
  std::int32_t zero = 0;
  Round round = Round::half_up;
  FinishKind kind = FinishKind::folded;
  std::int32_t slope_frac = 0;
  const std::int32_t* slopes = nullptr;  ///< one per channel, followed by kTailBytes; or null
};

/// Where the channel n of `channels` lies in packed weights and start values: in order, but four whole panels share
/// their 64 channels out such that packing vectors of accumulators, which works on lanes of 16 bytes, restores them.
static constexpr int packed_lane(int n, int channels) {
  const int first = n / kMaxColumns * kMaxColumns, c = n - first;
  if (channels - first <= kMaxColumns - kLanes) return n;
  return first + c % 16 / 4 * 16 + c / 16 * 4 + c % 4;
}

/// out[r][n] = finish(start[n] + sum_k a[r][k] * w[n][k]) for all rows and n < channels.
/// @shape a: rows of 4 * quads bytes; w: {panels, panel_quads, 16, 4}, of which the first `quads` count; start:
/// {panels,
///        16}; panels = ceil(channels / 16); channel n at the panel and lane of packed_lane(n, channels)
struct Gemm {
  const std::uint8_t* a;
  std::ptrdiff_t a_stride;
  int rows, quads, panel_quads, channels;
  bool exact_store;  ///< bytes of out after `channels` must not be written; else the last panel is written whole
  const std::int8_t* w;
  const std::int32_t* start;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
  Finish finish;
};

/// rows[p * row_bytes + r * run_bytes ..] = from[r][p * step ..], run_bytes each, for all runs r of all pixels. What
/// lies after a run in its row, and up to kTailBytes after the last row, may be overwritten with anything.
struct Gather {
  const std::uint8_t* const* from;
  int runs, run_bytes;
  std::ptrdiff_t step;
  int pixels;
  std::uint8_t* rows;
  std::ptrdiff_t row_bytes;
};

/// Channels of the block of packed depthwise weights that begins when `channels` are left.
static constexpr int depthwise_block(int channels) {
  return channels >= 64 ? 64 : (channels >= 32 ? 32 : 16);
}

/// Where channel c of a block lies among its accumulators: interleaving pixels leaves that order.
static constexpr int depthwise_lane(int c, int block) {
  return (c % 16 / 4 * (block / 16) + c / 16) * 4 + c % 4;
}

/// Depthwise convolution of some output pixels with any window: the pixels that the taps of output pixel p meet are
/// taps[p * tap_count ..]; all of them, padding included, have `channels` bytes.
/// @shape w: for each block of channels {quads of taps, block, 4}, start: {block}, both in the order of depthwise_lane
struct Depthwise {
  const std::uint8_t* const* taps;
  int tap_count, pixels, channels;  ///< channels: a multiple of 16
  const std::int8_t* w;
  const std::int32_t* start;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
  Finish finish;
};

/// Output columns of one kernel call: four input rows of them stay in the first-level cache.
inline constexpr int kMaxStrip = 112;
static constexpr int depthwise_strip(int pitch) {
  return pitch >= 4096 / 28 ? 28 : (pitch <= 4096 / kMaxStrip ? kMaxStrip : 4096 / pitch);
}
static constexpr int depthwise_outside_bytes(int pitch) {
  return (2 * kMaxStrip + 1) * pitch + kTailBytes;
}

/// Rows [row_begin, row_end) of a 3x3 depthwise convolution without dilation, stride 1 or 2.
/// @shape w: for each block of channels {2, 3, block, 4}: columns of the kernel as [w0 w1 w2 0] and as [0 w0 w1 w2];
///        start: {block}; both in the order of depthwise_lane
struct Depthwise3x3 {
  const std::uint8_t* in;
  std::uint8_t* out;
  std::ptrdiff_t in_pitch, out_pitch;
  int ih, iw, oh, ow, channels, stride, pad_top, pad_left;
  int row_begin, row_end;
  std::uint8_t zero;            ///< of the input
  const std::uint8_t* outside;  ///< depthwise_outside_bytes(in_pitch) of them
  const std::int8_t* w;
  const std::int32_t* start;
  Finish finish;  ///< folded
};

/// out = finish(((a - zero_a) << shift_a) + ((b - zero_b) << shift_b)) for `count` bytes; |acc| < 2^31.
struct Add {
  const std::uint8_t *a, *b;
  std::int32_t zero_a, zero_b, shift_a, shift_b;
  std::uint8_t* out;
  std::int64_t count;
  Finish finish;  ///< not folded, without slopes; narrow: also with its rounding constant, zero << shift and surplus
};

struct WideKernels;

/// Plain functions; all pointers may be unaligned. A table without gemm has `gather` and `wide` alone.
struct Kernels {
  void (*gemm)(const Gemm& gemm);
  void (*gather)(const Gather& gather);
  void (*depthwise)(const Depthwise& depthwise);
  void (*depthwise3x3)(const Depthwise3x3& depthwise);
  /// bytes[i] = finish(acc[i]), i the channel.
  void (*finish)(const Finish& finish, const std::int32_t* acc, std::uint8_t* bytes, int channels);
  void (*add)(const Add& add);
  /// out[i] = finish(in[i] - zero), i the channel.
  void (*rescale)(const Finish& finish, const std::uint8_t* in, std::int32_t zero, std::uint8_t* out, int channels);
  /// out[i] = max over `count` pixels of in[.][i].
  void (*max)(const std::uint8_t* const* in, int count, std::uint8_t* out, int channels);
  /// acc[i] = sum over `count` pixels of in[.][i].
  void (*sum)(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels);
  const WideKernels* wide;  ///< for operands of more than 8 bits, and all that the others do not do
};

extern const Kernels kernels_portable;
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;

}  // namespace binade::integer
