// TI's running percentile range, by hand.
#include "calibration/running_range.hpp"

#include <gtest/gtest.h>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"

namespace binade {
namespace {

TEST(RunningRange, CutsOutliersBelowTheShare) {
  Tensor<float> x({1, 1, 1, 20000});
  Random random(1);
  for (float& v : x.span()) v = static_cast<float>(random.uniform(-1, 2));
  x[7] = 100;  // one of 20000 is 0.005 %
  const Extremes cut = percentile_extremes(x.view(), 0.01, 0);
  EXPECT_LT(cut.max, 3);
  EXPECT_GT(cut.max, 1.9);
  EXPECT_NEAR(cut.min, -1, 1e-3);
  x[8] = x[9] = 100;  // 0.015 %
  EXPECT_EQ(percentile_extremes(x.view(), 0.01, 0).max, 100);
}

TEST(RunningRange, WithoutACutAllElementsCount) {
  for (std::int64_t at = 0; at < 64; at += 9) {
    Tensor<float> x({1, 8, 8, 1}, 1.0F);
    x[at] = -5;
    x[63 - at] = 7;
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Extremes found = percentile_extremes(x.view(), 0, seed);
      EXPECT_EQ(found.min, -5);
      EXPECT_EQ(found.max, 7);
    }
  }
}

TEST(RunningRange, ConstantTensorsHaveARange) {
  const Tensor<float> zero({2, 8, 8, 3}), three({2, 8, 8, 3}, 3.0f);
  EXPECT_EQ(percentile_extremes(zero.view(), 0.01, 0).max, 0);
  EXPECT_EQ(percentile_extremes(three.view(), 0.01, 0).min, 3);
  RunningRange range;
  range.add(zero.view(), 0);
  EXPECT_EQ(range.spec(8), spec_for_clip(0, 8, false));
}

TEST(RunningRange, AveragesAsTi) {
  RunningRange range;
  const double maxima[] = {4, 8, 2, 5};
  // Factors 1, 1, 1/2, 1/3: 4, 8, 5, 5.
  const double wanted[] = {4, 8, 5, 5};
  for (int i = 0; i < 4; ++i) {
    Tensor<float> x({1, 2, 2, 2});
    x[0] = static_cast<float>(maxima[i]);
    range.add(x.view(), 0);
    EXPECT_DOUBLE_EQ(range.max(), wanted[i]);
  }
  EXPECT_EQ(range.spec(8), (QuantSpec{5, 8, false}));  // [0, 8)
  const RunningRange slow = RunningRange::of(-1, 1, 5000);
  EXPECT_EQ(slow.spec(8), (QuantSpec{7, 8, true}));
  RunningRange next = slow;
  Tensor<float> x({1, 1, 1, 2}, std::vector<float>{-3, 3});
  next.add(x.view(), 0);
  EXPECT_DOUBLE_EQ(next.max(), 1.002);
}

TEST(RunningRange, LooksAtEverySecondRowAndColumnFromARandomPhase) {
  Tensor<float> x({1, 6, 6, 1});
  for (int h = 0; h < 6; ++h) {
    for (int w = 0; w < 6; ++w) x[h * 6 + w] = static_cast<float>(1 + h % 2 * 2 + w % 2);
  }
  bool seen[5] = {};
  for (std::uint64_t seed = 0; seed < 32; ++seed) {
    const Extremes found = percentile_extremes(x.view(), 0.01, seed);
    EXPECT_EQ(found.min, found.max);  // of one phase
    seen[static_cast<int>(found.max)] = true;
  }
  for (int phase = 1; phase <= 4; ++phase) EXPECT_TRUE(seen[phase]) << phase;
}

TEST(RunningRange, TheSameOnAnyNumberOfThreads) {
  Tensor<float> x({7, 9, 9, 5});
  Random random(2);
  for (float& v : x.span()) v = static_cast<float>(random.normal());
  const int before = thread_count();
  set_thread_count(1);
  const Extremes one = percentile_extremes(x.view(), 1, 4);
  set_thread_count(5);
  const Extremes five = percentile_extremes(x.view(), 1, 4);
  set_thread_count(before);
  EXPECT_EQ(one.min, five.min);
  EXPECT_EQ(one.max, five.max);
}

}  // namespace
}  // namespace binade
