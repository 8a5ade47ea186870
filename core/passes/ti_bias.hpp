// TI's bias under SATURATE: an 8-bit code that is brought to the accumulator's scale as a product A * B.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/base/fixed_point.hpp"

namespace binade {

/// What the bias adds to the accumulator, whose codes are worth 2^-joint_frac.
struct TiBias {
  std::int64_t accumulator = 0;  ///< the added codes: a * b when is_product
  int a = 0;                     ///< 8-bit factor
  int b = 0;                     ///< the largest activation code: 127 for a signed input, 255 for an unsigned one
  bool is_product = false;       ///< false: the accumulator's grid is coarse enough to take the bias as it is
};

/// The bias `real` of a layer whose tensor of biases lies on the 8-bit grid `spec` (spec_for_clip of its largest
/// magnitude) and whose accumulator has joint_frac = frac(input) + frac(weights).
/// @math ratio = trunc(2^joint_frac / 2^spec.frac); ratio > b: a = clamp8(trunc(clamp16(x) / b)), adds a * b;
///       else adds trunc(x), where x is the quantized bias in accumulator codes
/// @source TI edgeai, QuantTrainModule, January 2023 [docs/ti.md 1.6]
inline TiBias ti_split_bias(double real, QuantSpec spec, int joint_frac, bool input_signed) {
  TiBias bias{.b = input_signed ? 127 : 255};
  const double x = std::ldexp(fake_quantize(real, spec, Rounding::half_away), joint_frac);
  const int ratio_log2 = joint_frac - spec.frac;  // 2^ratio_log2 > 127 or 255: from 2^7 or 2^8 on
  bias.is_product = ratio_log2 >= (input_signed ? 7 : 8);
  if (!bias.is_product) {
    bias.accumulator = static_cast<std::int64_t>(std::trunc(x));
    return bias;
  }
  const double limited = x < -32768 ? -32768 : (x > 32767 ? 32767 : x);
  bias.a = static_cast<int>(saturate(static_cast<std::int64_t>(std::trunc(limited / bias.b)), 8, true));
  bias.accumulator = std::int64_t{bias.a} * bias.b;
  return bias;
}

}  // namespace binade
