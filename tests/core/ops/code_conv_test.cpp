// Convolutions by codes against exact sums, over geometries, grids, extreme codes, new weights and numbers that are
// none.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/ops/code_conv.hpp"
#include "core/ops/simd/codes.hpp"

namespace binade {
namespace {

struct Case {
  ConvGeometry g;
  QuantSpec x_spec, w_spec;
  int images = 2;
  std::vector<float> x, w, bias;
};

std::vector<float> on_grid(std::int64_t count, QuantSpec spec, bool extreme, Random& random) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto range = static_cast<std::uint64_t>(spec.max_code() - spec.min_code() + 1);
    const std::int64_t code = extreme ? (random.below(2) != 0 ? spec.max_code() : spec.min_code())
                                      : spec.min_code() + static_cast<std::int64_t>(random.below(range));
    values.push_back(static_cast<float>(dequantize(code, spec)));
  }
  return values;
}

Case random_case(Random& random) {
  const auto up_to = [&](int n) { return 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(n))); };
  Case c;
  ConvGeometry& g = c.g;
  g.ic = up_to(40);
  g.oc = up_to(150);
  g.kh = up_to(3);
  g.kw = random.below(2) != 0 ? g.kh : up_to(3);
  g.stride_h = up_to(2);
  g.stride_w = up_to(2);
  g.pad_top = static_cast<int>(random.below(3));
  g.pad_left = static_cast<int>(random.below(3));
  g.pad_bottom = static_cast<int>(random.below(3));
  g.pad_right = static_cast<int>(random.below(3));
  if (random.below(2) != 0) g = {.ic = g.ic, .oc = g.oc};  // 1x1
  g.ih = g.kh + up_to(9);
  g.iw = g.kw + up_to(9);
  g.oh = (g.ih + g.pad_top + g.pad_bottom - g.kh) / g.stride_h + 1;
  g.ow = (g.iw + g.pad_left + g.pad_right - g.kw) / g.stride_w + 1;
  c.images = up_to(3);
  const auto bits = [&] { return static_cast<std::uint8_t>(2 + random.below(7)); };
  c.x_spec = {static_cast<std::int8_t>(static_cast<int>(random.below(20)) - 6), bits(), random.below(2) != 0};
  c.w_spec = {static_cast<std::int8_t>(static_cast<int>(random.below(20)) - 6), bits(), true};
  const bool extreme = random.below(3) == 0;
  c.x = on_grid(c.images * g.in_count(), c.x_spec, extreme, random);
  c.w = on_grid(g.weight_count(), c.w_spec, extreme, random);
  for (int o = 0; o < g.oc; ++o) c.bias.push_back(static_cast<float>(random.normal()));
  return c;
}

/// Exact in double; then rounded once.
std::vector<float> wanted(const Case& c, bool with_bias) {
  const ConvGeometry& g = c.g;
  std::vector<float> y;
  for (int n = 0; n < c.images; ++n) {
    for (int oy = 0; oy < g.oh; ++oy) {
      for (int ox = 0; ox < g.ow; ++ox) {
        for (int o = 0; o < g.oc; ++o) {
          double sum = with_bias ? static_cast<double>(c.bias[static_cast<std::size_t>(o)]) : 0;
          for (int i = 0; i < g.kh; ++i) {
            for (int j = 0; j < g.kw; ++j) {
              const int row = oy * g.stride_h - g.pad_top + i, column = ox * g.stride_w - g.pad_left + j;
              if (row < 0 || row >= g.ih || column < 0 || column >= g.iw) continue;
              for (int k = 0; k < g.ic; ++k) {
                const std::int64_t at = ((std::int64_t{n} * g.ih + row) * g.iw + column) * g.ic + k;
                const std::int64_t weight = ((std::int64_t{o} * g.kh + i) * g.kw + j) * g.ic + k;
                sum += static_cast<double>(c.x[static_cast<std::size_t>(at)]) *
                       static_cast<double>(c.w[static_cast<std::size_t>(weight)]);
              }
            }
          }
          y.push_back(static_cast<float>(sum));
        }
      }
    }
  }
  return y;
}

std::vector<float> found(CodeConv& conv, const Case& c, bool with_bias, std::uint64_t version) {
  std::vector<float> y(static_cast<std::size_t>(c.images * c.g.out_count()));
  conv.forward(c.g, c.images, {c.x.data(), c.x_spec}, {c.w.data(), c.w_spec}, with_bias ? c.bias.data() : nullptr,
               y.data(), version);
  return y;
}

class CodeConvTest : public testing::Test {
 protected:
  void SetUp() override {
    // Elsewhere convolutions of codes are done in float.
    if (simd::codes() == nullptr) GTEST_SKIP() << "no AVX-512 VNNI on this processor";
  }
};

TEST_F(CodeConvTest, IsTheExactSumRoundedOnce) {
  Random random(11);
  CodeConv conv;
  for (int trial = 0; trial < 200; ++trial) {
    const Case c = random_case(random);
    ASSERT_TRUE(CodeConv::supports(c.g, c.x_spec, c.w_spec));
    const bool with_bias = trial % 3 != 0;
    ASSERT_EQ(found(conv, c, with_bias, 0), wanted(c, with_bias)) << "trial " << trial;
  }
}

TEST_F(CodeConvTest, NewVersionsGridsAndThreadsAreNoticed) {
  Random random(12);
  Case c = random_case(random);
  CodeConv conv;
  EXPECT_EQ(found(conv, c, true, 1), wanted(c, true));
  for (float& w : c.w) w = -std::abs(w);
  const std::vector<float> fresh = wanted(c, true);
  EXPECT_EQ(found(conv, c, true, 2), fresh);
  c.w_spec.frac = static_cast<std::int8_t>(c.w_spec.frac + 1);
  for (float& w : c.w) w /= 2;
  EXPECT_EQ(found(conv, c, true, 2), wanted(c, true));
  set_thread_count(3);
  EXPECT_EQ(found(conv, c, true, 2), wanted(c, true));
  set_thread_count(0);
}

TEST_F(CodeConvTest, WhatIsNoNumberIsNotLost) {
  Random random(13);
  for (int trial = 0; trial < 20; ++trial) {
    Case c = random_case(random);
    c.images = 2;
    c.x = on_grid(2 * c.g.in_count(), c.x_spec, false, random);
    CodeConv conv;
    c.x[random.below(c.x.size() / 2)] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> y = found(conv, c, true, 0);
    const auto per_image = static_cast<std::size_t>(c.g.out_count());
    for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(std::isnan(y[i]), i < per_image) << i;
    c.x = on_grid(2 * c.g.in_count(), c.x_spec, false, random);
    c.w[0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(found(conv, c, true, 0)[0]));
  }
}

TEST_F(CodeConvTest, OtherConvolutionsAreLeftAlone) {
  const QuantSpec eight{4, 8, true}, nine{4, 9, true}, positive{4, 8, false};
  const ConvGeometry plain{.ih = 4, .iw = 4, .ic = 8, .oh = 4, .ow = 4, .oc = 8};
  ConvGeometry grouped = plain, dilated = plain;
  grouped.groups = 2;
  dilated.dilation_h = 2;
  EXPECT_TRUE(CodeConv::supports(plain, positive, eight));
  EXPECT_FALSE(CodeConv::supports(plain, nine, eight));
  EXPECT_FALSE(CodeConv::supports(plain, eight, nine));
  EXPECT_FALSE(CodeConv::supports(plain, eight, positive));
  EXPECT_FALSE(CodeConv::supports(grouped, eight, eight));
  EXPECT_FALSE(CodeConv::supports(dilated, eight, eight));
}

}  // namespace
}  // namespace binade
