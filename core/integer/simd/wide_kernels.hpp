// The kernels of the integer engine for operands of 16 bits, and for processors that multiply words better than bytes.
//
// Above 8 bits a tensor holds int16 words, NHWC, on the pitch of the bytes: a signed code k is the word k, an unsigned
// one the word k - 32768, so that every kernel multiplies signed words; the surplus -32768 * sum(w) is part of the
// start values. `zero` is what stands for code 0: code = stored - zero. Bytes are as in kernels.hpp; they become words
// with zero 0 before they are multiplied.
//
// Sums of 16-bit products rarely fit in 32 bits. Such a sum is kept in two vectors of int32, acc and high: it is
// high * 65536 + acc. acc runs over a chunk of products so short that it provably cannot overflow (from the weights at
// hand), then high += acc >> 16 and acc &= 0xffff.
//
// As kernels.hpp, this header must not contain an inline function with linkage.
#pragma once

#include "core/integer/simd/kernels.hpp"

namespace binade::integer {

/// How accumulators become codes. With c the channel, v = acc without slopes, else acc >= 0 ? acc << slope_frac :
/// acc * slopes[c]: @math stored = clamp(round(v * 2^-shift), lo, hi) + zero
/// `folded`: no slopes, 0 <= shift <= 30, and the accumulator holds the rounding constant, so that rounding is floor;
/// of a block with chunks it holds zero << shift, too.
struct WideFinish {
  std::int32_t shift = 0;       ///< -62 .. 63
  std::int32_t lo = 0, hi = 0;  ///< codes
  std::int32_t zero = 0;
  bool words = true;  ///< what is stored: int16, or uint8
  bool folded = false;
  Round round = Round::half_up;
  std::int32_t slope_frac = 0;
  const std::int32_t* slopes = nullptr;  ///< one per channel, or null
};

/// Weights of up to 2 * lanes output channels, and what their sums start with. Channel n at packed_word.
/// @shape w: {pairs, panels, lanes, 2}; low, high: {panels, lanes}; panels = channels > lanes ? 2 : 1
struct WideBlock {
  const std::int16_t* w;
  const std::int32_t *low, *high;  ///< the start value is high * 65536 + low; without chunks low alone, modulo 2^32
  /// Pairs of products after which sums are split, ended by 0. Null: sums fit in 32 bits, rounding constant included.
  const std::int32_t* chunks;
  int channels;
};

/// out[r][n] = finish(start[n] + sum_k a[r][k] * w[n][k]) for all rows and the channels of a block.
struct WideGemm {
  const std::int16_t* a;
  std::ptrdiff_t a_stride;  ///< words
  int rows, pairs;
  WideBlock block;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;  ///< bytes
  WideFinish finish;
  const std::int16_t* next_w;  ///< what will be read next, to be brought nearer; or null
};

/// Depthwise convolution of a pixel with any window; taps[t] points at the channels of a block in the pixel that tap t
/// meets, or at `zero`s. Weights and chunks are for pairs of taps.
/// @shape w: {pairs, 2, lanes, 2}, block.channels up to 2 * lanes: channel n at packed_word, always two panels
struct WideDepthwise {
  const std::uint8_t* const* taps;
  int tap_count;
  bool words;  ///< the input; bytes have `zero`
  std::int32_t zero;
  WideBlock block;
  std::uint8_t* out;
  WideFinish finish;
};

/// Rows [row_begin, row_end) of a 3x3 depthwise convolution without dilation, for a block of channels; `in` and `out`
/// at the channels of the block in the first pixel.
/// @shape w: {3 columns of the kernel, 2, 2, lanes, 2}: of a column the pairs (w0, w1) and (w2, 0), as WideDepthwise
struct WideDepthwise3x3 {
  const std::uint8_t* in;
  std::uint8_t* out;
  std::ptrdiff_t in_pitch, out_pitch;
  int ih, iw, ow, stride_y, stride_x, pad_top, pad_left;  ///< stride_x: 1 or 2
  int row_begin, row_end;
  bool words;
  std::int32_t zero;
  WideBlock block;
  int splits;  ///< of sums with chunks: 1 after each column, 2 after each pair
  WideFinish finish;
};

/// Codes of a row as they are stored.
struct CodeRow {
  const std::uint8_t* data;
  bool words;
  std::int32_t zero;
};

/// acc = (a << shift_a) + (b << shift_b), or a * b.
struct WidePair {
  CodeRow a, b;
  std::int32_t shift_a, shift_b;
  bool product;
  bool narrow;  ///< 32 bits suffice for acc with a rounding constant; no slopes, 0 <= shift <= 30
  std::uint8_t* out;
  std::int64_t count;
  WideFinish finish;
};

/// acc = sum of weight[i] * in[i].
struct WideBlend {
  CodeRow in[4];
  std::int32_t weight[4];
  int terms;
  bool narrow;
  std::uint8_t* out;
  std::int64_t count;
  WideFinish finish;
};

struct WideKernels {
  int lanes;  ///< int32 of a vector, which packed weights depend on
  void (*gemm)(const WideGemm& gemm);
  void (*depthwise)(const WideDepthwise& depthwise);
  void (*depthwise3x3)(const WideDepthwise3x3& depthwise);
  /// words[i] = bytes[i] - zero
  void (*widen)(const std::uint8_t* bytes, std::int32_t zero, std::int16_t* words, std::int64_t count);
  void (*pair)(const WidePair& pair);
  void (*blend)(const WideBlend& blend);
  /// out[i] = max over `count` rows of words, or bytes.
  void (*max)(const std::uint8_t* const* in, int count, bool words, std::uint8_t* out, int channels);
  /// acc[i] = sum over `count` rows of words, modulo 2^32.
  void (*sum)(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels);
};

/// Where channel n of a block lies among its 2 * lanes: such that packing vectors of accumulators, which works on parts
/// of 16 bytes, restores the order; in order when one panel holds them all.
static constexpr int packed_word(int n, int channels, int lanes) {
  return channels <= lanes ? n : n % 8 / 4 * lanes + n / 8 * 4 + n % 4;
}

extern const WideKernels wide_kernels_portable;  ///< also right where no chunk is short enough
extern const WideKernels wide_kernels_avx2;
extern const WideKernels wide_kernels_avx512;

}  // namespace binade::integer
