// FakeQuant and Pact: values through the harness, straight-through gradients exactly.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.hpp"
#include "tests/harness/check_op.hpp"

namespace binade {
namespace {

using harness::check_op;
using harness::expect_refused;
using harness::fuzz;
using harness::uniform;

constexpr Rounding kRoundings[] = {Rounding::half_up, Rounding::half_away, Rounding::half_even};

/// Reals around the whole range of a grid, many of them codes, ties and their neighbours.
harness::Fill around(QuantSpec spec) {
  return [spec](Tensor<double>& t, Random& random) {
    const double codes = std::ldexp(1.0, spec.bits);
    for (double& v : t.span()) {
      const double code = random.uniform(-1.25 * codes, 1.25 * codes);
      const double nice = random.below(2) == 0 ? code : std::floor(code) + 0.5 * static_cast<double>(random.below(2));
      v = std::ldexp(static_cast<double>(static_cast<float>(nice)), -spec.frac);
      if (random.below(4) == 0) v = static_cast<double>(std::nextafter(static_cast<float>(v), 0.0f));
    }
  };
}

TEST(Quantizers, fake_quant_on_every_width) {
  for (int bits = 2; bits <= 24; ++bits) {
    for (const Rounding rounding : kRoundings) {
      for (const bool is_signed : {true, false}) {
        const QuantSpec spec{static_cast<std::int8_t>(bits % 5 * 7 - 9), static_cast<std::uint8_t>(bits), is_signed};
        check_op(FakeQuant{spec, rounding}, {{2, 5, 7, 9}},
                 {.fill = {around(spec)}, .differentiable = false, .float_tolerance = 0});
      }
    }
  }
}

TEST(Quantizers, fake_quant_on_large_tensors_and_fuzzed_shapes) {
  const QuantSpec spec{4, 8, true};
  check_op(FakeQuant{spec}, {{2, 61, 67, 11}}, {.fill = {around(spec)}, .differentiable = false, .float_tolerance = 0});
  fuzz(20, [&](std::uint64_t seed, Random& random) {
    const QuantSpec any{static_cast<std::int8_t>(harness::between(random, -20, 30)),
                        static_cast<std::uint8_t>(harness::between(random, 2, 16)), random.below(2) == 0};
    check_op(FakeQuant{any, kRoundings[random.below(3)]}, {{1, 3, harness::between(random, 1, 50), 17}},
             {.seed = seed, .fill = {around(any)}, .differentiable = false, .float_tolerance = 0});
  });
}

TEST(Quantizers, fake_quant_on_extreme_grids) {
  for (const int frac : {-128, -127, -100, 100, 120, 127}) {
    const QuantSpec spec{static_cast<std::int8_t>(frac), 8, true};
    const auto run = [&](float x) {
      const Tensor<float> in({1, 1, 1, 1}, x);
      Tensor<float> out({1, 1, 1, 1});
      OpState state;
      const View<const float> view = in.view();
      FakeQuant{spec}.forward(Forward<float>{.in = {&view, 1}, .out = out.view(), .state = state});
      return out[0];
    };
    for (const float x : {0.0f, 1.0f, -1.0f, 1e-38f, -1e-38f, 3e38f, -3e38f, 1.5e-36f}) {
      const double wanted = dequantize(quantize(static_cast<double>(x), spec, Rounding::half_up), spec);
      EXPECT_EQ(run(x), static_cast<float>(wanted)) << x << " on frac " << frac;
    }
  }
}

TEST(Quantizers, there_is_no_negative_zero) {
  const Tensor<float> x({1, 1, 1, 40}, -0.01f);
  Tensor<float> y({1, 1, 1, 40}, 1.0f);
  OpState state;
  const View<const float> in = x.view();
  for (const Rounding rounding : kRoundings) {
    FakeQuant{QuantSpec{4, 8, true}, rounding}.forward(Forward<float>{.in = {&in, 1}, .out = y.view(), .state = state});
    for (const float v : y.span()) EXPECT_FALSE(std::signbit(v));
  }
}

template <class O>
Tensor<float> gradient(const O& op, const std::vector<Tensor<float>>& x, int input) {
  const Tensor<float> dy(x[0].shape(), 3.0f), y(x[0].shape());
  Tensor<float> dx(x[static_cast<std::size_t>(input)].shape(), 0.5f);
  OpState state;
  std::vector<View<const float>> in;
  std::vector<View<float>> din;
  for (const auto& t : x) in.push_back(t.view());
  for (std::size_t i = 0; i < x.size(); ++i) {
    din.push_back(static_cast<int>(i) == input ? dx.view() : View<float>{nullptr, x[i].shape()});
  }
  op.backward(Backward<float>{.in = in, .out = y.view(), .dout = dy.view(), .din = din, .state = state});
  return dx;
}

TEST(Quantizers, fake_quant_gradient_is_clipped_half_a_code_outside_the_range) {
  for (const bool is_signed : {true, false}) {
    const QuantSpec spec{3, 8, is_signed};
    const float lo = static_cast<float>((static_cast<double>(spec.min_code()) - 0.5) / 8);
    const float hi = static_cast<float>((static_cast<double>(spec.max_code()) + 0.5) / 8);
    const Tensor<float> x({1, 1, 1, 6},
                          std::vector<float>{lo, std::nextafter(lo, 0.0f), 0.3f, std::nextafter(hi, 0.0f), hi, 1000});
    const Tensor<float> wanted({1, 1, 1, 6}, std::vector<float>{0.5f, 3.5f, 3.5f, 3.5f, 0.5f, 0.5f});
    EXPECT_EQ(gradient(FakeQuant{spec}, {x}, 0), wanted);
  }
}

TEST(Quantizers, pact) {
  for (const bool is_signed : {true, false}) {
    for (const double alpha : {0.3, 1.0, 1.25, 7.0}) {
      const auto fill = [alpha](Tensor<double>& t, Random&) { t[0] = alpha; };
      harness::CheckOptions options{.fill = {uniform(-9, 9), fill}, .differentiable = false, .float_tolerance = 0};
      check_op(Pact{.bits = 8, .is_signed = is_signed}, {{2, 61, 67, 11}, {1, 1, 1, 1}}, options);
      check_op(Pact{.bits = 4, .is_signed = is_signed, .rounding = Rounding::half_even}, {{1, 3, 3, 5}, {1, 1, 1, 1}},
               options);
    }
  }
  expect_refused(Pact{}, {{1, 2, 2, 3}, {1, 1, 1, 3}}, "alpha has shape 1x1x1x3");
  expect_refused(Pact{.bits = 1}, {{1, 2, 2, 3}, {1, 1, 1, 1}}, "1 bits");
}

TEST(Quantizers, pact_gradient) {
  const Tensor<float> alpha({1, 1, 1, 1}, 2.0f);
  const Tensor<float> x({1, 1, 1, 7}, std::vector<float>{-3, -2, -1.5f, 0, 1.5f, 2, 3});
  const Tensor<float> inside_signed({1, 1, 1, 7}, std::vector<float>{0.5f, 0.5f, 3.5f, 3.5f, 3.5f, 0.5f, 0.5f});
  EXPECT_EQ(gradient(Pact{.is_signed = true}, {x, alpha}, 0), inside_signed);
  EXPECT_EQ(gradient(Pact{.is_signed = true}, {x, alpha}, 1)[0], 0.5f + (3 + 3) - (3 + 3));
  const Tensor<float> inside_unsigned({1, 1, 1, 7}, std::vector<float>{0.5f, 0.5f, 0.5f, 0.5f, 3.5f, 0.5f, 0.5f});
  EXPECT_EQ(gradient(Pact{}, {x, alpha}, 0), inside_unsigned);
  EXPECT_EQ(gradient(Pact{}, {x, alpha}, 1)[0], 0.5f + 3 + 3);
}

TEST(Quantizers, pact_refuses_a_clip_that_is_not_finite) {
  const Tensor<float> x({1, 1, 1, 3}), alpha({1, 1, 1, 1}, std::numeric_limits<float>::quiet_NaN());
  Tensor<float> y(x.shape());
  OpState state;
  const std::vector<View<const float>> in{x.view(), alpha.view()};
  EXPECT_THROW(Pact{}.forward(Forward<float>{.in = in, .out = y.view(), .state = state}), DataError);
}

}  // namespace
}  // namespace binade
