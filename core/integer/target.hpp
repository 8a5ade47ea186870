// What a device does with numbers, as data: one profile drives simulation, lowering, verification and export.
#pragma once

#include <string>

#include "core/base/fixed_point.hpp"

namespace binade {

/// The defaults are the profile `tidl`. Files in configs/targets hold the others; the field names are their keys.
struct TargetProfile {
  std::string name = "tidl";

  // Rounding, by place.
  Rounding weight_rounding = Rounding::half_away;
  Rounding bias_rounding = Rounding::half_away;
  Rounding activation_rounding = Rounding::half_up;  ///< after convolutions, tables, resizes; of the input
  Rounding join_rounding = Rounding::half_up;        ///< after additions, products, concatenations
  Rounding average_rounding = Rounding::half_up;     ///< of averages

  bool narrow_weights = false;       ///< weight codes -(2^(b-1) - 1) and up: symmetric, as TensorFlow Lite's
  bool unsigned_activations = true;  ///< false: every activation is signed, ReLU's too, at half the resolution
  int accumulator_bits = 32;         ///< 16..64; what could exceed them is reported
  int wide_accumulator_bits = 64;    ///< the same for networks with a tensor above 8 bits
  bool prove_accumulator = false;    ///< true: weights are made coarser until nothing can exceed them
  int bias_bits = 32;                ///< 9..32: at accumulator scale, or coarser to fit; 2..8: a grid of its own
  bool bias_product = false;         ///< bias = A * B of TI's 16-bit biases [docs/ti.md 1.6]; needs bias_bits 16
  int max_shift = 31;                ///< of a weighted layer's accumulator, to the right; else its weights get coarser
  int min_shift = -31;               ///< below it (negative: to the left), the layer's output gets coarser
  bool requantize_before_add = false;  ///< operands are brought to the sum's grid before they are added; else aligned
  bool common_concat = false;          ///< operands of a concatenation are made on its grid; else each is rescaled
  friend bool operator==(const TargetProfile&, const TargetProfile&) = default;
};

}  // namespace binade
