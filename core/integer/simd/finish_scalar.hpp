// One accumulator becomes one byte: the definition that every vector form must equal.
#pragma once

#include "core/integer/simd/kernels.hpp"

namespace binade::integer {
namespace {

/// v * 2^-shift, rounded: as round_shift of core/base/fixed_point.hpp, which kernels cannot include, for |v| < 2^63.
inline std::int64_t rounded_shift(std::int64_t v, int shift, Round round) {
  if (shift <= 0) return static_cast<std::int64_t>(static_cast<std::uint64_t>(v) << -shift);
  if (shift > 63) return 0;
  const std::int64_t floor = v >> shift;
  const auto rest = static_cast<std::uint64_t>(v) & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  if (rest != half) return floor + (rest > half ? 1 : 0);
  if (round == Round::half_up) return floor + 1;
  if (round == Round::half_away) return floor + (v >= 0 ? 1 : 0);
  return floor + (floor & 1);
}

inline std::uint8_t clamped_byte(std::int64_t v, const Finish& finish) {
  return static_cast<std::uint8_t>(v < finish.lo ? finish.lo : (v > finish.hi ? finish.hi : v));
}

inline std::uint8_t finished(const Finish& finish, std::int32_t acc, int channel) {
  if (finish.kind == FinishKind::folded) return clamped_byte(acc >> finish.shift, finish);
  std::int64_t v = acc;
  if (finish.slopes != nullptr) {
    v = acc >= 0 ? v * (std::int64_t{1} << finish.slope_frac) : v * finish.slopes[channel];
  }
  return clamped_byte(rounded_shift(v, finish.shift, finish.round) + finish.zero, finish);
}

}  // namespace
}  // namespace binade::integer
