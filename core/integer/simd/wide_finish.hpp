// Turns accumulators into stored codes with every rounding, in loops that compilers vectorize.
#pragma once

#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {
namespace {

constexpr int kWideRow = 128;  ///< codes per round of a loop

inline void store_wide(const WideFinish& finish, const std::int32_t* codes, std::uint8_t* out, int count) {
  if (finish.words) {
    std::int16_t words[kWideRow];
    for (int i = 0; i < count; ++i) words[i] = static_cast<std::int16_t>(codes[i] + finish.zero);
    __builtin_memcpy(out, words, 2 * static_cast<std::size_t>(count));
  } else {
    for (int i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(codes[i] + finish.zero);
  }
}

/// Up to kWideRow accumulators of 32 bits that a rounding constant does not make overflow; 0 <= shift <= 30.
inline void finish_narrow(const WideFinish& finish, const std::int32_t* acc, std::uint8_t* out, int count) {
  std::int32_t codes[kWideRow];
  const int shift = finish.shift;
  const bool rounds = shift > 0 && !finish.folded;
  const std::int32_t half = rounds ? 1 << (shift - 1) : 0;
  const std::int32_t away = rounds && finish.round == Round::half_away ? -1 : 0;
  const std::int32_t even = rounds && finish.round == Round::half_even ? -1 : 0;
  for (int i = 0; i < count; ++i) {
    const std::int32_t v = acc[i];
    const std::int32_t less = ((v >> 31) & away) + ((((v >> shift) & 1) - 1) & even);
    const std::int32_t code = (v + half + less) >> shift;
    const std::int32_t low = code < finish.lo ? finish.lo : code;
    codes[i] = low > finish.hi ? finish.hi : low;
  }
  store_wide(finish, codes, out, count);
}

/// v * 2^-shift, rounded, of one accumulator times its slope: half away from zero adds one less below zero, half to
/// even one less where the floor is even.
inline void finish_any(const WideFinish& finish, std::int64_t* acc, int first_channel, std::uint8_t* out, int count) {
  std::int32_t codes[kWideRow];
  if (finish.slopes != nullptr) {
    const std::int32_t* slopes = finish.slopes + first_channel;
    const std::int64_t above = std::int64_t{1} << finish.slope_frac;
    for (int i = 0; i < count; ++i) acc[i] *= acc[i] >= 0 ? above : slopes[i];
  }
  const bool rounds = finish.shift > 0 && !finish.folded;
  const int right = finish.shift > 62 ? 62 : (finish.shift > 0 ? finish.shift : 0),
            left = right > 0 ? 0 : -finish.shift;
  const std::int64_t half = rounds ? std::int64_t{1} << (right - 1) : 0;
  const std::int64_t away = rounds && finish.round == Round::half_away ? -1 : 0;
  const std::int64_t even = rounds && finish.round == Round::half_even ? -1 : 0;
  const std::int64_t keep = finish.shift > 62 ? 0 : -1, factor = std::int64_t{1} << left;
  for (int i = 0; i < count; ++i) {
    const std::int64_t v = acc[i] * factor;
    const std::int64_t less = ((v >> 63) & away) + ((((v >> right) & 1) - 1) & even);
    const std::int64_t code = ((v + half + less) >> right) & keep;
    const std::int64_t low = code < finish.lo ? finish.lo : code;
    codes[i] = static_cast<std::int32_t>(low > finish.hi ? finish.hi : low);
  }
  store_wide(finish, codes, out, count);
}

/// Accumulators of a block.
inline void finish_sums(const WideFinish& finish, const WideBlock& block, std::int64_t* acc, std::uint8_t* out) {
  WideFinish of_block = finish;
  if (finish.folded && block.chunks != nullptr) {
    of_block.lo += finish.zero;
    of_block.hi += finish.zero;
    of_block.zero = 0;
  }
  finish_any(of_block, acc, 0, out, block.channels);
}

/// The same, in packed order: high * 65536 + low, or low alone.
inline void finish_block(const WideFinish& finish, const WideBlock& block, int panels, int lanes,
                         const std::int32_t* low, const std::int32_t* high, std::uint8_t* out) {
  std::int64_t acc[kWideRow];
  for (int n = 0; n < block.channels; ++n) {
    const int at = packed_word(n, panels * lanes, lanes);
    acc[n] = block.chunks != nullptr ? std::int64_t{high[at]} * 65536 + low[at] : low[at];
  }
  finish_sums(finish, block, acc, out);
}

}  // namespace
}  // namespace binade::integer
