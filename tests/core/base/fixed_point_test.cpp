// Fixed point, exhaustively: every int16 under every shift and rounding, every real next to a tie, TI's own vectors.
#include "core/base/fixed_point.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/random.hpp"
#include "core/passes/ti_bias.hpp"

namespace binade {
namespace {

constexpr Rounding kRoundings[] = {Rounding::half_up, Rounding::half_away, Rounding::half_even};
__extension__ typedef __int128 Wide;

/// v / 2^shift rounded, by remainders of 128-bit integers: no shift of a negative number, no floating point.
Wide reference_shift(Wide v, int shift, Rounding rounding) {
  if (shift <= 0) return v * (Wide{1} << -shift);
  const Wide divisor = Wide{1} << shift;
  Wide floor = v / divisor;
  if (floor * divisor > v) --floor;
  const Wide twice = 2 * (v - floor * divisor);  // of the rest: below, at or above one divisor
  if (twice < divisor) return floor;
  if (twice > divisor) return floor + 1;
  switch (rounding) {
    case Rounding::half_up: return floor + 1;
    case Rounding::half_away: return v < 0 ? floor : floor + 1;
    case Rounding::half_even: return floor % 2 == 0 ? floor : floor + 1;
  }
  return floor;
}

TEST(FixedPoint, round_shift_of_every_int16) {
  for (const Rounding rounding : kRoundings) {
    for (int shift = -40; shift <= 70; ++shift) {
      for (int v = -32768; v <= 32767; ++v) {
        const Wide wanted = reference_shift(v, shift, rounding);
        if (Wide{round_shift(v, shift, rounding)} != wanted) {
          FAIL() << v << " >> " << shift << " is " << round_shift(v, shift, rounding);
        }
      }
    }
  }
}

TEST(FixedPoint, round_quotient_next_to_every_tie) {
  for (const Rounding rounding : kRoundings) {
    for (std::int64_t d = 1; d <= 130; ++d) {
      for (std::int64_t n = -1000; n <= 1000; ++n) {
        // By exhaustion: the integers nearest to n / d, and of two the one that the rule prefers.
        const std::int64_t got = round_quotient(n, d, rounding);
        const std::int64_t distance = std::abs(got * d - n);
        ASSERT_LE(2 * distance, d) << n << " / " << d;
        if (2 * distance != d) continue;
        const bool right = rounding == Rounding::half_up     ? got * d > n
                           : rounding == Rounding::half_away ? (got * d > n) == (n > 0)
                                                             : got % 2 == 0;
        EXPECT_TRUE(right) << n << " / " << d;
      }
    }
  }
  const std::int64_t large = INT64_MAX / 2 - 1;
  EXPECT_EQ(round_quotient(large, large, Rounding::half_up), 1);
  EXPECT_EQ(round_quotient(-large, large, Rounding::half_up), -1);
}

TEST(FixedPoint, round_shift_of_wide_values_next_to_every_tie) {
  for (const Rounding rounding : kRoundings) {
    for (int shift = 1; shift <= 66; ++shift) {
      for (int top = 0; top <= 63; ++top) {
        for (std::int64_t odd = -5; odd <= 5; ++odd) {
          for (std::int64_t near = -2; near <= 2; ++near) {
            const Wide wide = odd * (Wide{1} << top) + near;
            if (wide > INT64_MAX || wide < INT64_MIN) continue;
            const std::int64_t v = static_cast<std::int64_t>(wide);
            if (Wide{round_shift(v, shift, rounding)} != reference_shift(v, shift, rounding)) {
              FAIL() << v << " >> " << shift << " is " << round_shift(v, shift, rounding);
            }
          }
        }
      }
    }
  }
}

TEST(FixedPoint, round_shift_at_the_ends_of_64_bits) {
  for (const Rounding rounding : kRoundings) {
    for (int shift = 1; shift <= 80; ++shift) {
      for (const std::int64_t v : {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1}) {
        EXPECT_TRUE(Wide{round_shift(v, shift, rounding)} == reference_shift(v, shift, rounding))
            << v << " >> " << shift;
      }
    }
  }
  static_assert(round_shift(-3, 1, Rounding::half_up) == -1);
  static_assert(round_shift(-3, 1, Rounding::half_away) == -2);
  static_assert(round_shift(5, 1, Rounding::half_even) == 2);
  static_assert(round_shift(0, -100) == 0);
}

TEST(FixedPoint, saturate_every_int16_to_every_width) {
  for (int bits = 2; bits <= 32; ++bits) {
    for (const bool is_signed : {true, false}) {
      const double lo = is_signed ? -std::pow(2.0, bits - 1) : 0, hi = std::pow(2.0, is_signed ? bits - 1 : bits) - 1;
      for (int v = -32768; v <= 32767; ++v) {
        const double wanted = std::min(std::max(static_cast<double>(v), lo), hi);
        if (static_cast<double>(saturate(v, bits, is_signed)) != wanted) FAIL() << v << " to " << bits << " bits";
      }
      const QuantSpec spec{0, static_cast<std::uint8_t>(bits), is_signed};
      EXPECT_EQ(static_cast<double>(spec.min_code()), lo);
      EXPECT_EQ(static_cast<double>(spec.max_code()), hi);
      EXPECT_EQ(saturate(INT64_MAX, bits, is_signed), spec.max_code());
      EXPECT_EQ(saturate(INT64_MIN, bits, is_signed), spec.min_code());
    }
  }
}

/// Every half-integer multiple n/2 and its two neighbours in T, against the exact doubled integer.
template <class T>
void check_round_real() {
  for (const Rounding rounding : kRoundings) {
    for (int twice = -70000; twice <= 70000; ++twice) {
      const T x = static_cast<T>(twice) / 2;
      const T below = std::nextafter(x, -std::numeric_limits<T>::infinity());
      const T above = std::nextafter(x, std::numeric_limits<T>::infinity());
      const auto floor = static_cast<std::int64_t>(reference_shift(twice, 1, Rounding::half_up)) - (twice & 1);
      ASSERT_EQ(round_real(x, rounding), static_cast<T>(reference_shift(twice, 1, rounding))) << x;
      // between n and n + 1/2 the nearest is n; from n + 1/2 on it is n + 1; just below the integer n it is n
      ASSERT_EQ(round_real(below, rounding), static_cast<T>(floor)) << "below " << x;
      ASSERT_EQ(round_real(above, rounding), static_cast<T>(floor + (twice & 1))) << "above " << x;
    }
    for (const T x : {std::ldexp(T(1), std::numeric_limits<T>::digits) - 1, std::ldexp(T(3), 60),
                      std::numeric_limits<T>::max(), std::numeric_limits<T>::infinity()}) {
      EXPECT_EQ(round_real(x, rounding), x);
      EXPECT_EQ(round_real(-x, rounding), -x);
    }
    for (const T x : {T(-0.0), T(-0.25), -std::numeric_limits<T>::denorm_min()}) {
      EXPECT_EQ(round_real(x, rounding), 0);
      EXPECT_FALSE(std::signbit(round_real(x, rounding))) << "negative zero from " << x;
    }
  }
}

TEST(FixedPoint, round_real_next_to_every_tie) {
  check_round_real<float>();
  check_round_real<double>();
}

TEST(FixedPoint, quantize_every_quarter_code) {
  for (const Rounding rounding : kRoundings) {
    for (const int frac : {-20, -3, 0, 5, 15, 40}) {
      for (const int bits : {2, 4, 8, 12, 16}) {
        for (const bool is_signed : {true, false}) {
          const QuantSpec spec{static_cast<std::int8_t>(frac), static_cast<std::uint8_t>(bits), is_signed};
          for (int quarters = -5 << bits; quarters <= 5 << bits; ++quarters) {
            const double real = std::ldexp(quarters, -2 - frac);
            const auto wanted =
                saturate(static_cast<std::int64_t>(reference_shift(quarters, 2, rounding)), bits, is_signed);
            if (quantize(real, spec, rounding) != wanted) FAIL() << real << " on frac " << frac << ", bits " << bits;
            const double back = std::ldexp(static_cast<double>(wanted), -frac);
            if (fake_quantize(real, spec, rounding) != back) FAIL() << real << " on frac " << frac;
            if (fake_quantize(static_cast<float>(real), spec, rounding) != static_cast<float>(back)) FAIL() << real;
            if (dequantize(wanted, spec) != back) FAIL() << wanted;
          }
        }
      }
    }
  }
}

TEST(FixedPoint, quantize_saturates_and_refuses_nan) {
  const QuantSpec spec{4, 8, true}, bias{20, 32, true};
  EXPECT_EQ(quantize(1e300, spec, Rounding::half_up), 127);
  EXPECT_EQ(quantize(-std::numeric_limits<double>::infinity(), spec, Rounding::half_up), -128);
  EXPECT_EQ(quantize(1e300, bias, Rounding::half_away), INT32_MAX);
  EXPECT_EQ(quantize(-1e300, bias, Rounding::half_away), INT32_MIN);
  EXPECT_THROW(quantize(std::nan(""), spec, Rounding::half_up), ContractError);
  EXPECT_EQ(spec.min_real(), -8);
  EXPECT_EQ(spec.max_real(), 7.9375);
  EXPECT_EQ(spec.step(), 0.0625);
}

TEST(FixedPoint, ceil_log2_at_and_around_every_power_of_two) {
  for (int k = -1000; k <= 1000; ++k) {
    const double power = std::ldexp(1.0, k);
    EXPECT_EQ(ceil_log2(power), k);
    EXPECT_EQ(ceil_log2(std::nextafter(power, 0.0)), k);
    EXPECT_EQ(ceil_log2(std::nextafter(power, 1e308)), k + 1);
    EXPECT_EQ(ceil_log2(1.5 * power), k + 1);
  }
}

TEST(FixedPoint, spec_for_clip_at_and_around_every_power_of_two) {
  for (const int bits : {2, 4, 8, 16}) {
    for (int k = -15; k <= 60; ++k) {
      const double power = std::ldexp(1.0, k);
      const auto frac = [&](double clip, bool is_signed) { return int{spec_for_clip(clip, bits, is_signed).frac}; };
      EXPECT_EQ(frac(power, true), bits - 1 - k);
      EXPECT_EQ(frac(power, false), bits - k);
      EXPECT_EQ(frac(std::nextafter(power, 0.0), true), bits - 1 - k);
      EXPECT_EQ(frac(std::nextafter(power, 1e308), true), bits - 2 - k);
      // the same one float above: the place where log2 in float gives k
      EXPECT_EQ(frac(static_cast<double>(std::nextafter(static_cast<float>(power), 1e38f)), false), bits - 1 - k);
    }
    for (const double tiny : {0.0, -1.0, 1e-300, kMinClip / 2, kMinClip}) {
      EXPECT_EQ(int{spec_for_clip(tiny, bits, true).frac}, bits - 1 + 16) << tiny;
    }
  }
  EXPECT_THROW(spec_for_clip(std::numeric_limits<double>::infinity(), 8, true), ContractError);
  EXPECT_THROW(spec_for_clip(std::nan(""), 8, true), ContractError);
  EXPECT_THROW(spec_for_clip(1e300, 8, true), ContractError);
}

// [docs/ti.md C]
TEST(FixedPoint, conformance_weights) {
  struct Row {
    double w, max, clip, scale;
    int code;
    double real;
  };
  for (const Row& row : {Row{0.7, 0.7, 1, 128, 90, 0.703125}, Row{0.5, 0.5, 0.5, 256, 127, 0.49609375},
                         Row{-0.5, 0.5, 0.5, 256, -128, -0.5}, Row{1.0 / 256, 0.7, 1, 128, 1, 0.0078125},
                         Row{-1.0 / 256, 0.7, 1, 128, -1, -0.0078125}, Row{0.3, 5.3, 8, 16, 5, 0.3125}}) {
    const QuantSpec spec = spec_for_clip(row.max, 8, true);
    EXPECT_EQ(1 / spec.step(), row.scale) << row.w;
    EXPECT_EQ(-spec.min_real(), row.clip) << row.w;
    EXPECT_EQ(quantize(row.w, spec, Rounding::half_away), row.code) << row.w;
    EXPECT_EQ(fake_quantize(row.w, spec, Rounding::half_away), row.real) << row.w;
  }
}

TEST(FixedPoint, conformance_activations) {
  struct Row {
    double x, max;
    bool is_signed;
    double clip, scale;
    int code;
    double real;
  };
  for (const Row& row :
       {Row{3, 5.5, false, 8, 32, 96, 3}, Row{8, 5.5, false, 8, 32, 255, 7.96875}, Row{-1, 5.5, false, 8, 32, 0, 0},
        Row{-0.03125, 5.5, true, 8, 16, 0, 0}, Row{0.03125, 5.5, true, 8, 16, 1, 0.0625},
        Row{-0.09375, 5.5, true, 8, 16, -1, -0.0625}, Row{6, 6, false, 8, 32, 192, 6}}) {
    const QuantSpec spec = spec_for_clip(row.max, 8, row.is_signed);
    EXPECT_EQ(1 / spec.step(), row.scale) << row.x;
    EXPECT_EQ(static_cast<double>(spec.max_code() + 1) * spec.step(), row.clip) << row.x;
    EXPECT_EQ(quantize(row.x, spec, Rounding::half_up), row.code) << row.x;
    EXPECT_EQ(fake_quantize(row.x, spec, Rounding::half_up), row.real) << row.x;
  }
}

TEST(FixedPoint, conformance_bias_as_a_product) {
  struct Row {
    double b, max;
    int joint_frac;
    bool input_signed;
    double bias_scale;
    int code, a;  // a = 0: the bias fits the accumulator's grid as it is
    double real;
  };
  for (const Row& row :
       {Row{1.9, 1.9, 12, false, 64, 122, 0, 1.90625}, Row{0.37, 0.37, 16, false, 256, 95, 95, 0.36964417},
        Row{0.37, 0.37, 15, true, 256, 95, 95, 0.36819458}, Row{0.05, 0.37, 16, true, 256, 13, 26, 0.05038452},
        Row{0.05, 0.37, 18, false, 256, 13, 52, 0.05058289}, Row{0.37, 0.37, 18, false, 256, 95, 127, 0.12353897}}) {
    const QuantSpec spec = spec_for_clip(row.max, 8, true);
    EXPECT_EQ(1 / spec.step(), row.bias_scale) << row.b;
    EXPECT_EQ(quantize(row.b, spec, Rounding::half_away), row.code) << row.b;
    const TiBias bias = ti_split_bias(row.b, spec, row.joint_frac, row.input_signed);
    EXPECT_EQ(bias.is_product, row.a != 0) << row.b;
    EXPECT_EQ(bias.b, row.input_signed ? 127 : 255) << row.b;
    if (row.a != 0) {
      EXPECT_EQ(bias.a, row.a) << row.b;
    }
    EXPECT_NEAR(std::ldexp(static_cast<double>(bias.accumulator), -row.joint_frac), row.real, 5e-9) << row.b;
  }
}

TEST(FixedPoint, bias_products_truncate_towards_zero_and_saturate) {
  const QuantSpec spec = spec_for_clip(0.37, 8, true);
  for (const bool input_signed : {true, false}) {
    for (int code = -128; code <= 127; ++code) {
      for (int joint_frac = 4; joint_frac <= 24; ++joint_frac) {
        const TiBias up = ti_split_bias(code / 256.0, spec, joint_frac, input_signed);
        // section 1.6 in real numbers
        const double at_joint = code / 256.0 * std::ldexp(1.0, joint_frac), m = input_signed ? 127 : 255;
        double wanted = std::trunc(at_joint);
        if (std::trunc(std::ldexp(1.0, joint_frac) / 256) > m) {
          const double t = std::min(std::max(at_joint, -32768.0), 32767.0);
          wanted = std::min(std::max(std::trunc(t / m), -128.0), 127.0) * m;
        }
        ASSERT_EQ(static_cast<double>(up.accumulator), wanted) << "code " << code << ", joint frac " << joint_frac;
      }
    }
  }
}

TEST(FloatQuantizer, HasTheCodesOfQuantize) {
  Random random(12);
  for (const QuantSpec spec : {QuantSpec{5, 8, true}, QuantSpec{0, 8, false}, QuantSpec{-3, 16, true},
                               QuantSpec{20, 16, false}, QuantSpec{90, 4, true}, QuantSpec{-90, 2, false}}) {
    for (const Rounding rounding : {Rounding::half_up, Rounding::half_away, Rounding::half_even}) {
      const FloatQuantizer code_of(spec, rounding);
      const auto check = [&](float x) {
        ASSERT_EQ(code_of(x), quantize(static_cast<double>(x), spec, rounding)) << x << " frac " << int{spec.frac};
      };
      const auto step = static_cast<float>(spec.step());
      for (std::int64_t half = 2 * spec.min_code() - 5; half <= 2 * spec.max_code() + 5;
           half += spec.bits > 8 ? 37 : 1) {
        const float tie = static_cast<float>(half) * 0.5F * step;  // codes and ties, and their neighbours
        for (const float x : {tie, std::nextafter(tie, INFINITY), std::nextafter(tie, -INFINITY)}) check(x);
      }
      for (int i = 0; i < 2000; ++i) {
        check(std::ldexp(static_cast<float>(random.uniform(-1, 1)), static_cast<int>(random.uniform(-140, 120))));
      }
      for (const float x : {0.0F, -0.0F, 1e-45F, -1e-45F, 3e38F, -3e38F, INFINITY, -INFINITY}) check(x);
    }
  }
}

}  // namespace
}  // namespace binade
