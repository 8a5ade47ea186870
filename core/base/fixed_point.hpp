// Fixed-point numbers: the only file in the project that rounds, shifts or saturates codes.
//
// A quantised number is `code * 2^-frac` with an integer code of 2..32 bits. There is no other scale and no zero
// point, so requantization is one rounding shift.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/error.hpp"

namespace binade {

/// How a tie, or any value between two codes, becomes a code.
enum class Rounding : std::uint8_t {
  half_up,    ///< floor(x + 1/2): TI's activations
  half_away,  ///< nearest, ties away from zero: TI's weights and biases
  half_even,  ///< nearest, ties to even: IEEE, CMSIS-like targets
};

/// The names of the enumerators, in their order: what options, files and reports say.
inline constexpr std::array<std::string_view, 3> kRoundingNames{"half_up", "half_away", "half_even"};

constexpr std::string_view to_string(Rounding rounding) {
  return kRoundingNames[static_cast<std::size_t>(rounding)];
}

/// The inverse of to_string; empty for any other text.
constexpr std::optional<Rounding> rounding_of_name(std::string_view name) {
  for (std::size_t i = 0; i < kRoundingNames.size(); ++i) {
    if (kRoundingNames[i] == name) return static_cast<Rounding>(i);
  }
  return std::nullopt;
}

/// The grid of a tensor: real = code * 2^-frac; nothing else can be expressed.
struct QuantSpec {
  std::int8_t frac = 0;   ///< fraction length; may be negative, may exceed bits
  std::uint8_t bits = 8;  ///< 2..16; a bias may use up to 32
  bool is_signed = true;  ///< two's complement when true, else 0 .. 2^bits - 1

  constexpr std::int64_t min_code() const { return is_signed ? -(std::int64_t{1} << (bits - 1)) : 0; }
  constexpr std::int64_t max_code() const { return (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1; }
  /// The largest |code|.
  constexpr std::int64_t max_magnitude() const { return is_signed ? -min_code() : max_code(); }
  /// The range ends at 2^exponent: [-2^exponent, 2^exponent) or [0, 2^exponent).
  constexpr int exponent() const { return bits - (is_signed ? 1 : 0) - frac; }
  /// The real distance of two neighbouring codes, 2^-frac.
  double step() const { return std::ldexp(1.0, -frac); }
  double min_real() const { return static_cast<double>(min_code()) * step(); }
  double max_real() const { return static_cast<double>(max_code()) * step(); }
  friend constexpr bool operator==(const QuantSpec&, const QuantSpec&) = default;
};

/// The grid of that width whose range ends at 2^exponent.
constexpr QuantSpec spec_for_exponent(int exponent, int bits, bool is_signed) {
  return {static_cast<std::int8_t>(bits - (is_signed ? 1 : 0) - exponent), static_cast<std::uint8_t>(bits), is_signed};
}

/// Clamps to the codes of `bits` bits.
constexpr std::int64_t saturate(std::int64_t v, int bits, bool is_signed) {
  const std::int64_t lo = is_signed ? -(std::int64_t{1} << (bits - 1)) : 0;
  const std::int64_t hi = (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
  return v < lo ? lo : (v > hi ? hi : v);
}

/// v * 2^-shift, rounded. `shift` <= 0 shifts left, exactly; the caller guarantees that the result fits in 64 bits.
/// @math half_up: floor(v / 2^s + 1/2); half_away: sign(v) * floor(|v| / 2^s + 1/2); half_even: ties to the even code
constexpr std::int64_t round_shift(std::int64_t v, int shift, Rounding rounding = Rounding::half_up) {
  if (shift <= 0) return shift <= -64 ? 0 : static_cast<std::int64_t>(static_cast<std::uint64_t>(v) << -shift);
  if (shift > 64) return 0;                                                            // |v / 2^s| < 1/2
  if (shift == 64) return v == INT64_MIN && rounding == Rounding::half_away ? -1 : 0;  // only -2^63 / 2^64 is a tie
  const std::int64_t floor = v >> shift;
  const std::uint64_t rest = static_cast<std::uint64_t>(v) & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  if (rest != half) return floor + (rest > half ? 1 : 0);
  switch (rounding) {
    case Rounding::half_up: return floor + 1;
    case Rounding::half_away: return floor + (v >= 0 ? 1 : 0);
    case Rounding::half_even: return floor + (floor & 1);
  }
  return floor;
}

/// n / d, rounded once, exactly, for d > 0.
constexpr std::int64_t round_quotient(std::int64_t n, std::int64_t d, Rounding rounding = Rounding::half_up) {
  const std::int64_t cut = n / d, left = n % d;         // towards zero
  const std::int64_t floor = cut - (left < 0 ? 1 : 0);  // n = floor * d + rest
  const std::int64_t rest = left < 0 ? left + d : left;
  if (rest != d - rest) return floor + (rest > d - rest ? 1 : 0);
  switch (rounding) {
    case Rounding::half_up: return floor + 1;
    case Rounding::half_away: return floor + (n >= 0 ? 1 : 0);
    case Rounding::half_even: return floor + (floor & 1);
  }
  return floor;
}

/// Rounds a real to an integer, held in a floating type; exact for every finite input, and never negative zero.
template <class T>
inline T round_real(T x, Rounding rounding) {
  const T whole = std::trunc(x);
  const T rest = std::abs(x - whole);  // exact; the distance to floor(x) is not, for x just below zero
  const T away = whole + (x < 0 ? T(-1) : T(1));
  if (rest != T(0.5)) return (rest > T(0.5) ? away : whole) + T(0);
  switch (rounding) {
    case Rounding::half_up: return (x > 0 ? away : whole) + T(0);
    case Rounding::half_away: return away;
    case Rounding::half_even: return (std::fmod(whole, T(2)) == 0 ? whole : away) + T(0);
  }
  return whole;
}

/// The saturated code of a real. A NaN violates the contract: values are checked where they enter.
inline std::int32_t quantize(double real, QuantSpec spec, Rounding rounding) {
  require(!std::isnan(real), "quantize: NaN has no code");
  const double scaled = round_real(std::ldexp(real, spec.frac), rounding);
  const double lo = static_cast<double>(spec.min_code()), hi = static_cast<double>(spec.max_code());
  return static_cast<std::int32_t>(scaled < lo ? lo : (scaled > hi ? hi : scaled));
}

/// quantize() of many floats on one grid: the scale is found once, and ties upwards need no branch. The same codes.
class FloatQuantizer {
 public:
  FloatQuantizer(QuantSpec spec, Rounding rounding)
      : scale_(std::ldexp(1.0, spec.frac)),
        lo_(static_cast<double>(spec.min_code())),
        hi_(static_cast<double>(spec.max_code())),
        rounding_(rounding) {
    require(spec.bits <= 16, "FloatQuantizer: codes have up to 16 bits");
  }
  /// @math x is no NaN. x * 2^frac is exact in double. A code is an integer, so saturating first changes nothing; and
  ///   with 24 bits of x, scaled + 1/2 + 2^17 can only round where scaled is no neighbour of a tie.
  std::int32_t operator()(float x) const {
    const double scaled = static_cast<double>(x) * scale_;
    const double low = scaled < lo_ ? lo_ : scaled, clamped = low > hi_ ? hi_ : low;
    if (rounding_ != Rounding::half_up) return static_cast<std::int32_t>(round_real(clamped, rounding_));
    return static_cast<std::int32_t>(clamped + (kOffset + 0.5)) - static_cast<std::int32_t>(kOffset);
  }

 private:
  static constexpr double kOffset = 1 << 17;  ///< makes every sum positive, so that cutting is floor
  double scale_, lo_, hi_;
  Rounding rounding_;
};

/// The real of a code.
inline double dequantize(std::int64_t code, QuantSpec spec) {
  return std::ldexp(static_cast<double>(code), -spec.frac);
}

/// The real that a real becomes on the grid: dequantize(quantize(x)), rounded to T where codes are wider than T's.
template <class T>
inline T fake_quantize(T x, QuantSpec spec, Rounding rounding) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (spec.bits > 24) return static_cast<T>(fake_quantize(static_cast<double>(x), spec, rounding));
  }
  const T scaled = round_real(std::ldexp(x, spec.frac), rounding);
  const T lo = static_cast<T>(spec.min_code()), hi = static_cast<T>(spec.max_code());
  return std::ldexp(scaled < lo ? lo : (scaled > hi ? hi : scaled), -spec.frac);
}

/// Smallest k with 2^k >= x, for x > 0; by frexp, because log2 in floating point is off by one at powers of two.
inline int ceil_log2(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);  // x = mantissa * 2^exponent, 1/2 <= mantissa < 1
  return mantissa == 0.5 ? exponent - 1 : exponent;
}

/// TI's floor for a clip: a tensor of zeros still needs a grid [docs/ti.md 1.1].
inline constexpr double kMinClip = 1.0 / 65536;

/// The grid whose range is [-2^k, 2^k) or [0, 2^k) with the smallest 2^k >= clip [docs/ti.md 1.2].
inline QuantSpec spec_for_clip(double clip, int bits, bool is_signed) {
  require(std::isfinite(clip) && clip < 0x1p100, "spec_for_clip: the clip is not a finite number of sensible size");
  return spec_for_exponent(ceil_log2(clip > kMinClip ? clip : kMinClip), bits, is_signed);
}

}  // namespace binade
