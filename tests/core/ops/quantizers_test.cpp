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

// Steps below 2^-126 are denormal, and those count as zero.
TEST(Quantizers, fake_quant_on_extreme_grids) {
  for (const int frac : {-128, -127, -100, 100, 120, 126}) {
    const QuantSpec spec{static_cast<std::int8_t>(frac), 8, true};
    const auto run = [&](float x) {
      const Tensor<float> in({1, 1, 1, 1}, x);
      Tensor<float> out({1, 1, 1, 1});
      OpState state;
      const View<const float> view = in.view();
      binade::forward(FakeQuant{spec}, Forward<float>{.in = {&view, 1}, .out = out.view(), .state = state});
      return out[0];
    };
    for (const float x : {0.0f, 1.0f, -1.0f, 1.2e-38f, -1.2e-38f, 3e38f, -3e38f, 1.5e-36f}) {
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
    binade::forward(FakeQuant{QuantSpec{4, 8, true}, rounding},
                    Forward<float>{.in = {&in, 1}, .out = y.view(), .state = state});
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
  binade::backward(op, Backward<float>{.in = in, .out = y.view(), .dout = dy.view(), .din = din, .state = state});
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
      check_op(Pact{.bits = 8, .is_signed = is_signed, .at_grid_end = true}, {{2, 61, 67, 11}, {1, 1, 1, 1}}, options);
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

// Forward and gradient cut at the same place: no element passes uncut without a gradient, none is cut and has one.
TEST(Quantizers, pact_cuts_where_its_gradient_ends) {
  const Tensor<float> alpha({1, 1, 1, 1}, 0.75f);
  Tensor<float> x({1, 1, 1, 401});
  for (std::int64_t i = 0; i < x.count(); ++i) x[i] = static_cast<float>(i - 200) / 100;
  for (const bool is_signed : {true, false}) {
    for (const bool at_grid_end : {true, false}) {
      const Pact op{.bits = 16, .is_signed = is_signed, .at_grid_end = at_grid_end};
      EXPECT_EQ(op.limit(0.75), at_grid_end ? 1.0 : 0.75);
      Tensor<float> y(x.shape());
      OpState state;
      const std::array<View<const float>, 2> in{x.view(), alpha.view()};
      binade::forward(op, Forward<float>{.in = in, .out = y.view(), .state = state});
      const Tensor<float> dx = gradient(op, {x, alpha}, 0);
      for (std::int64_t i = 0; i < x.count(); ++i) {
        const bool passed = std::abs(y[i] - x[i]) < 1e-4f;
        const float size = std::abs(x[i]);
        if (std::abs(size - static_cast<float>(op.limit(0.75))) < 1e-3f || size < 1e-3f) continue;  // on the limit
        EXPECT_EQ(passed, dx[i] == 3.5f) << x[i] << (is_signed ? " signed" : " unsigned");
      }
    }
  }
}

TEST(Quantizers, merged_quant_takes_its_gradient_from_the_float_path) {
  const QuantSpec spec{3, 8, true};  // [-16, 16)
  check_op(MergedQuant{.spec = spec}, {{2, 5, 7, 9}, {2, 5, 7, 9}},
           {.fill = {nullptr, around(spec)}, .differentiable = false, .float_tolerance = 0});
  const Tensor<float> x({1, 1, 1, 5}, std::vector<float>{-16, -15.9f, 3, 15.9f, 16}), z({1, 1, 1, 5}, 100.0f);
  const Tensor<float> inside({1, 1, 1, 5}, std::vector<float>{0.5f, 3.5f, 3.5f, 3.5f, 0.5f}), none({1, 1, 1, 5}, 0.5f);
  EXPECT_EQ(gradient(MergedQuant{.spec = spec}, {x, z}, 0), inside);
  EXPECT_EQ(gradient(MergedQuant{.spec = spec}, {x, z}, 1), none);
  expect_refused(MergedQuant{}, {{1, 2, 2, 3}, {1, 2, 2, 4}}, "float path");
}

TEST(Quantizers, plain_straight_through_passes_everything) {
  const Tensor<float> x({1, 1, 1, 3}, std::vector<float>{-1000, 0.3f, 1000}), alpha({1, 1, 1, 1}, 2.0f);
  const Tensor<float> all({1, 1, 1, 3}, 3.5f);
  EXPECT_EQ(gradient(FakeQuant{.spec = {3, 8, true}, .clipped = false}, {x}, 0), all);
  EXPECT_EQ(gradient(Pact{.clipped = false}, {x, alpha}, 0), all);
  EXPECT_EQ(gradient(Pact{.clipped = false}, {x, alpha}, 1)[0], 0.5f + 3);
}

TEST(Quantizers, tqt) {
  for (const bool is_signed : {true, false}) {
    for (const double threshold : {-3.5, 0.0, 0.01, 2.0, 2.99}) {
      const auto fill = [threshold](Tensor<double>& t, Random&) { t[0] = threshold; };
      for (const Rounding rounding : kRoundings) {
        for (const int bits : {2, 4, 8, 16}) {
          check_op(Tqt{.bits = bits, .is_signed = is_signed, .rounding = rounding}, {{2, 5, 7, 9}, {1, 1, 1, 1}},
                   {.fill = {uniform(-9, 9), fill}, .differentiable = false, .float_tolerance = 0});
        }
      }
      check_op(Tqt{.is_signed = is_signed, .held = true, .exponent = 1}, {{2, 61, 67, 11}, {1, 1, 1, 1}},
               {.fill = {uniform(-9, 9), fill}, .differentiable = false, .float_tolerance = 0});
    }
  }
  EXPECT_EQ((Tqt{.bits = 8, .is_signed = true}.spec(2.0)), (QuantSpec{5, 8, true}));
  EXPECT_EQ((Tqt{.bits = 8, .is_signed = false}.spec(2.01)), (QuantSpec{5, 8, false}));
  EXPECT_EQ((Tqt{.bits = 4, .held = true, .exponent = -2}.spec(9)), (QuantSpec{6, 4, false}));
  EXPECT_THROW(Tqt{}.spec(std::numeric_limits<double>::quiet_NaN()), DataError);
  expect_refused(Tqt{}, {{1, 2, 2, 3}, {1, 1, 1, 3}}, "threshold has shape 1x1x1x3");
  expect_refused(Tqt{.bits = 17}, {{1, 2, 2, 3}, {1, 1, 1, 1}}, "17 bits");
}

TEST(Quantizers, lsq) {
  for (const bool is_signed : {true, false}) {
    for (const double step : {0.3, 1.0, 0.071}) {
      std::vector<double> ties;  // where float and double may part
      for (int code = -300; code < 300; ++code) ties.push_back((code + 0.5) * step);
      const auto fill = [step](Tensor<double>& t, Random&) { t[0] = static_cast<double>(static_cast<float>(step)); };
      for (const int bits : {2, 4, 8}) {
        check_op(Lsq{.bits = bits, .is_signed = is_signed}, {{2, 5, 7, 9}, {1, 1, 1, 1}},
                 {.fill = {uniform(-9, 9, ties), fill}, .differentiable = false});
      }
      check_op(Lsq{.bits = 8, .is_signed = is_signed}, {{2, 61, 67, 11}, {1, 1, 1, 1}},
               {.fill = {uniform(-9, 9, ties), fill}, .differentiable = false});
    }
  }
  expect_refused(Lsq{}, {{1, 2, 2, 3}, {1, 1, 1, 3}}, "step has shape 1x1x1x3");
  expect_refused(Lsq{.bits = 1}, {{1, 2, 2, 3}, {1, 1, 1, 1}}, "1 bits");
}

/// A run of an op forward and backward in double, dout counting up: {dx, d of the learned parameter}.
template <class O>
std::pair<std::vector<double>, double> learned_gradient(const O& op, const std::vector<double>& x, double learned) {
  const auto n = static_cast<int>(x.size());
  const Tensor<double> in({1, 1, 1, n}, x), parameter({1, 1, 1, 1}, learned);
  Tensor<double> y(in.shape()), dy(in.shape()), dx(in.shape()), dl(parameter.shape());
  for (int i = 0; i < n; ++i) dy[i] = i + 1;
  OpState state;
  const std::vector<View<const double>> views{in.view(), parameter.view()};
  const std::vector<View<double>> gradients{dx.view(), dl.view()};
  binade::forward(op, Forward<double>{.in = views, .out = y.view(), .state = state, .mode = Mode::training});
  const View<const double> out = y.view(), dout = dy.view();
  binade::backward(op, Backward<double>{.in = views, .out = out, .dout = dout, .din = gradients, .state = state});
  return {{dx.span().begin(), dx.span().end()}, dl[0]};
}

/// Ends, ties at the ends and their neighbours, and reals in between, in units of the step.
std::vector<double> interesting(double lo, double hi, double step) {
  std::vector<double> x;
  for (const double v :
       {lo - 7.3, lo - 0.5, std::nextafter(lo - 0.5, 0.0), std::nextafter(lo - 0.5, -1e9), lo, lo + 0.2, 0.0, 0.3, -0.7,
        1.5, hi - 0.4, hi, hi + 0.49, std::nextafter(hi + 0.5, 0.0), hi + 0.5, hi + 3}) {
    x.push_back(v * step);
  }
  return x;
}

TEST(Quantizers, tqt_gradient_is_the_papers) {
  for (const Rounding rounding : kRoundings) {
    for (const bool is_signed : {true, false}) {
      for (const double threshold : {-1.2, 0.0, 2.5}) {
        const Tqt op{.bits = 4, .is_signed = is_signed, .rounding = rounding};
        const double n = is_signed ? -8 : 0, p = is_signed ? 7 : 15;
        const double s = std::pow(2.0, std::ceil(threshold)) / (is_signed ? 8 : 16);
        const std::vector<double> x = interesting(n, p, s);
        double wanted = 0;
        std::vector<double> inside;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double r = round_real(x[i] / s, rounding), dy = static_cast<double>(i + 1);
          inside.push_back(n <= r && r <= p ? dy : 0);
          wanted += dy * s * std::log(2.0) * (r < n ? n : r > p ? p : r - x[i] / s);
        }
        const auto [dx, dl] = learned_gradient(op, x, threshold);
        EXPECT_EQ(dx, inside);
        EXPECT_NEAR(dl, wanted, 1e-14 * std::abs(wanted));
      }
    }
  }
}

TEST(Quantizers, lsq_gradient_is_the_papers) {
  for (const bool is_signed : {true, false}) {
    const double step = 0.3, n = is_signed ? -8 : 0, p = is_signed ? 7 : 15;
    const Lsq op{.bits = 4, .is_signed = is_signed, .gradient_scale = 0.25};
    const std::vector<double> x = interesting(n, p, step);
    double wanted = 0;
    std::vector<double> inside;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double v = x[i] / step, dy = static_cast<double>(i + 1);
      inside.push_back(n < v && v < p ? dy : 0);
      wanted += 0.25 * dy * (v <= n ? n : v >= p ? p : std::floor(v + 0.5) - v);
    }
    const auto [dx, ds] = learned_gradient(op, x, step);
    EXPECT_EQ(dx, inside);
    EXPECT_NEAR(ds, wanted, 1e-13 * std::abs(wanted));
  }
}

TEST(Quantizers, lsq_refuses_a_step_that_is_not_positive) {
  for (const float step : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    const Tensor<float> x({1, 1, 1, 3}), parameter({1, 1, 1, 1}, step);
    Tensor<float> y(x.shape());
    OpState state;
    const std::vector<View<const float>> in{x.view(), parameter.view()};
    EXPECT_THROW(binade::forward(Lsq{}, Forward<float>{.in = in, .out = y.view(), .state = state}), DataError);
  }
}

TEST(Quantizers, pact_refuses_a_clip_that_is_not_finite) {
  const Tensor<float> x({1, 1, 1, 3}), alpha({1, 1, 1, 1}, std::numeric_limits<float>::quiet_NaN());
  Tensor<float> y(x.shape());
  OpState state;
  const std::vector<View<const float>> in{x.view(), alpha.view()};
  EXPECT_THROW(binade::forward(Pact{}, Forward<float>{.in = in, .out = y.view(), .state = state}), DataError);
}

}  // namespace
}  // namespace binade
