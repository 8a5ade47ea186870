// Statistics of results: published values, limits, and coverage of the intervals on simulated data.
#include "core/report/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/random.hpp"
#include "core/report/bootstrap.hpp"
#include "core/report/units.hpp"
#include "tests/harness/simulated_results.hpp"

namespace binade {
namespace {

TEST(Statistics, WilsonMatchesPublishedValues) {
  // Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
  const auto check = [](std::int64_t x, std::int64_t n, double lo, double hi) {
    const Interval i = wilson_interval(static_cast<double>(x), n);
    EXPECT_NEAR(i.lo, lo, 5e-5) << x << "/" << n;
    EXPECT_NEAR(i.hi, hi, 5e-5) << x << "/" << n;
  };
  check(81, 263, 0.2553, 0.3662);
  check(15, 148, 0.0624, 0.1605);
  check(0, 20, 0.0000, 0.1611);
  check(1, 29, 0.0061, 0.1718);
  EXPECT_EQ(wilson_interval(7, 7).hi, 1);
  EXPECT_EQ(wilson_interval(0, 0), (Interval{0, 1}));
}

TEST(Statistics, WilsonCoversNinetyFivePercent) {
  // A count is discrete, so coverage oscillates with p; averaged over p it is the promised one.
  for (const int n : {100, 650}) {
    Random random(11, static_cast<std::uint64_t>(n));
    constexpr int kTrials = 20000;
    int covered = 0;
    for (int t = 0; t < kTrials; ++t) {
      const double p = random.uniform(0.02, 0.99);
      int successes = 0;
      for (int i = 0; i < n; ++i) successes += random.uniform() < p ? 1 : 0;
      covered += wilson_interval(static_cast<double>(successes), n).contains(p) ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(covered) / kTrials, 0.95, 0.004) << n;  // one standard error is 0.0015
  }
}

TEST(Statistics, PairedIntervalCovers) {
  struct Case {
    double lost, gained;  ///< probabilities of the two discordant cells
    double most;          ///< coverage may not exceed this: rare discordance makes any interval conservative
  };
  for (const Case c : {Case{0.04, 0.03, 0.97}, Case{0.10, 0.02, 0.97}, Case{0.01, 0.01, 1}, Case{0.002, 0.001, 1},
                       Case{0.40, 0.05, 0.97}}) {
    for (const int n : {200, 650}) {
      Random random(5, static_cast<std::uint64_t>(n + 10000 * c.lost));
      constexpr int kTrials = 4000;
      int covered = 0;
      for (int t = 0; t < kTrials; ++t) {
        PairedCounts counts;
        for (int i = 0; i < n; ++i) {
          const double u = random.uniform();
          ++(u < c.lost ? counts.first_only : u < c.lost + c.gained ? counts.second_only : counts.both);
        }
        covered += paired_interval(counts).contains(c.gained - c.lost) ? 1 : 0;
      }
      const double coverage = static_cast<double>(covered) / kTrials;
      EXPECT_GE(coverage, 0.935) << c.lost << " " << c.gained << " " << n;
      EXPECT_LE(coverage, c.most) << c.lost << " " << c.gained << " " << n;
    }
  }
}

TEST(Statistics, PairedIntervalIsAntisymmetricAndNeverAPoint) {
  const Interval forth = paired_interval({.both = 500, .first_only = 12, .second_only = 30, .neither = 108});
  const Interval back = paired_interval({.both = 500, .first_only = 30, .second_only = 12, .neither = 108});
  EXPECT_NEAR(forth.lo, -back.hi, 1e-15);
  EXPECT_NEAR(forth.hi, -back.lo, 1e-15);
  EXPECT_TRUE(forth.contains(18.0 / 650));
  const Interval same = paired_interval({.both = 500, .neither = 150});
  EXPECT_LT(same.lo, 0);
  EXPECT_NEAR(same.hi, 1.959964 * std::sqrt(2.0) / 652, 1e-8);  // by hand: sqrt(2/652/652)
  const Interval all = paired_interval({.first_only = 3});
  EXPECT_GE(all.lo, -1);
}

TEST(Statistics, McNemarIsTheBinomialTail) {
  EXPECT_EQ(mcnemar_p({.both = 10}), 1);
  EXPECT_EQ(mcnemar_p({.first_only = 4, .second_only = 4}), 1);
  EXPECT_NEAR(mcnemar_p({.first_only = 6}), 2.0 / 64, 1e-12);
  EXPECT_NEAR(mcnemar_p({.first_only = 1, .second_only = 9}), 2.0 * 11 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar_p({.first_only = 9, .second_only = 1}), 2.0 * 11 / 1024, 1e-12);
  EXPECT_GT(mcnemar_p({.first_only = 2000, .second_only = 3000}), 0);  // 2.8e-46, not underflown
}

TEST(Statistics, McNemarRejectsRarelyWhenNothingDiffers) {
  Random random(17);
  constexpr int kTrials = 4000;
  int rejected = 0;
  for (int t = 0; t < kTrials; ++t) {
    PairedCounts counts;
    for (int i = 0; i < 60; ++i) ++(random.uniform() < 0.5 ? counts.first_only : counts.second_only);
    rejected += mcnemar_p(counts) < 0.05 ? 1 : 0;
  }
  EXPECT_LE(static_cast<double>(rejected) / kTrials, 0.05);
  EXPECT_GE(static_cast<double>(rejected) / kTrials, 0.015);
}

TEST(Statistics, SqnrInDecibels) {
  const std::array<float, 3> reference{3, -4, 0}, value{3, -4, 0.5F}, zero{};
  EXPECT_NEAR(sqnr_db(reference, value), 20, 1e-12);  // 25 / 0.25
  EXPECT_EQ(sqnr_db(reference, reference), std::numeric_limits<double>::infinity());
  EXPECT_NEAR(sqnr_db(reference, zero), 0, 1e-12);
  EXPECT_EQ(sqnr_db(zero, value), -std::numeric_limits<double>::infinity());
}

TEST(Statistics, MeanIouLeavesAbsentClassesOut) {
  // Label 0: 3 right, 1 taken for class 1; label 1: 2 right; class 2 occurs nowhere.
  const std::array<std::int64_t, 9> confusion{3, 1, 0, 0, 2, 0, 0, 0, 0};
  EXPECT_NEAR(mean_iou(confusion, 3), (3.0 / 4 + 2.0 / 3) / 2, 1e-12);
  EXPECT_EQ(mean_iou(std::array<std::int64_t, 4>{}, 2), 0);
  // A class that is predicted and never a label costs the others, but has no IoU of its own.
  const std::array<std::int64_t, 9> strange{3, 0, 1, 0, 2, 0, 0, 0, 0};
  EXPECT_EQ(class_iou(strange, 3), (std::vector<double>{0.75, 1, -1}));
  EXPECT_NEAR(mean_iou(strange, 3), 0.875, 1e-12);
  EXPECT_NEAR(pixel_accuracy(strange, 3), 5.0 / 6, 1e-12);
}

TEST(Statistics, EveryIntervalOfTheTableCovers) {
  // 400 trials: one standard error is 0.011; `bench_interval_coverage 4000` narrows it to 0.0035.
  for (const Coverage& found : simulate_coverage(400, 400)) {
    EXPECT_GE(found.covered, 0.94 - 2 * 0.011) << found.interval;
    EXPECT_LE(found.covered, 0.98 + 2 * 0.007) << found.interval;
  }
}

TEST(Statistics, BootstrapIsReproducibleAndPairs) {
  Random random(23);
  std::vector<std::int64_t> confusion;
  for (int i = 0; i < 60; ++i) {
    const auto right = static_cast<std::int64_t>(std::lround(random.uniform(65, 95)));
    confusion.insert(confusion.end(), {right, 100 - right, 100 - right, right});
  }
  EXPECT_EQ(bootstrap_mean_iou({confusion, confusion, 2}, 100), (Interval{0, 0}));
  const ConfusionPair alone{.second = confusion, .classes = 2};
  EXPECT_EQ(bootstrap_mean_iou(alone, 100, 3), bootstrap_mean_iou(alone, 100, 3));
  // Copies that are known as such change nothing but their order.
  std::vector<std::int64_t> twice = confusion;
  twice.insert(twice.end(), confusion.begin(), confusion.end());
  std::vector<int> units;
  for (int i = 0; i < 120; ++i) units.push_back(i % 60);
  const Interval once = bootstrap_mean_iou(alone, 500);
  const Interval known = bootstrap_mean_iou({.second = twice, .classes = 2, .units = units}, 500);
  EXPECT_NEAR(known.lo, once.lo, 1e-12);
  EXPECT_NEAR(known.hi, once.hi, 1e-12);
  EXPECT_EQ(bootstrap_mean_iou({.second = std::span(confusion).first(4), .classes = 2}), (Interval{0, 1}));
}

TEST(Statistics, FramesFormBlocks) {
  EXPECT_EQ(frame_of("test/Seq05VD_f00060.png").number, 60);
  EXPECT_EQ(frame_of("test/Seq05VD_f00060.png").sequence, "test/Seq05VD_f");
  EXPECT_EQ(frame_of("frankfurt_000001_000294_leftImg8bit.png").number, 294);
  EXPECT_EQ(frame_of("a1.png").number, -1);
  std::vector<std::string> names, hashes;
  for (int i = 0; i < 25; ++i) names.push_back(fmt::format("a_{:04d}.png", 30 * (24 - i)));
  for (int i = 0; i < 5; ++i) names.push_back(fmt::format("b_{:04d}.png", i));
  names.push_back("alone.png");
  for (std::size_t i = 0; i < names.size(); ++i) hashes.push_back(std::to_string(i));
  const Units found = bootstrap_units(names, hashes, 10);
  const std::vector<int>& units = found.unit;
  EXPECT_EQ(found.count, 4);
  EXPECT_TRUE(found.in_order);
  EXPECT_EQ(units[0], units[11]);  // 25 frames are two blocks, in the order of their numbers
  EXPECT_NE(units[0], units[13]);
  EXPECT_EQ(std::count(units.begin(), units.end(), units[25]), 5);
  EXPECT_EQ(std::count(units.begin(), units.end(), units[30]), 1);
  hashes[30] = hashes[0];
  const Units single = bootstrap_units(names, hashes, 1);
  EXPECT_EQ(single.unit[30], single.unit[0]);
  EXPECT_FALSE(single.in_order);
  EXPECT_EQ(single.count, 30);
}

TEST(Statistics, SpreadOfRepetitions) {
  const Spread spread = spread_of(std::array<double, 3>{1, 2, 6});
  EXPECT_DOUBLE_EQ(spread.mean, 3);
  EXPECT_NEAR(spread.deviation, std::sqrt(7.0), 1e-12);
  EXPECT_EQ(spread.min, 1);
  EXPECT_EQ(spread.max, 6);
  EXPECT_EQ(spread_of(std::array<double, 1>{4}).deviation, 0);
}

TEST(Statistics, FractionsExtendThePairedStatistics) {
  Random random(5);
  for (int trial = 0; trial < 50; ++trial) {
    PairedCounts counts;
    std::vector<double> differences;
    for (int i = 0; i < 200; ++i) {
      const double u = random.uniform();
      const int d = u < 0.1 ? 1 : u < 0.25 ? -1 : 0;
      differences.push_back(d);
      ++(d > 0 ? counts.second_only : d < 0 ? counts.first_only : counts.both);
    }
    const Interval wanted = paired_interval(counts), found = paired_interval(differences);
    EXPECT_NEAR(found.lo, wanted.lo, 1e-12);
    EXPECT_NEAR(found.hi, wanted.hi, 1e-12);
    EXPECT_DOUBLE_EQ(sign_flip_p(differences), mcnemar_p(counts));
  }
}

TEST(Statistics, SignFlipsByHand) {
  // Sums of +-1/2 +-1: 3/2 and -3/2 of four; +-1/2 are nearer to zero.
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{0.5, 1, 0}), 0.5);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{0.5, -1}), 1);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{1.0 / 3, 1.0 / 3, 0.5, 0.5, 1}), 1.0 / 16);
  EXPECT_DOUBLE_EQ(sign_flip_p(std::vector<double>{}), 1);
}

TEST(Statistics, PairedIntervalsOfFractionsCover) {
  Random random(11);
  constexpr int kTrials = 4000, kImages = 300;
  // Credits of a network with ties: +-1/2 now and then, +-1 seldom; the true mean is known.
  const double truth = 0.06 * 0.5 - 0.05 * 0.5 + 0.02 - 0.03;
  int covered = 0;
  std::vector<double> differences(kImages);
  for (int trial = 0; trial < kTrials; ++trial) {
    for (double& d : differences) {
      const double u = random.uniform();
      d = u < 0.06 ? 0.5 : u < 0.11 ? -0.5 : u < 0.13 ? 1 : u < 0.16 ? -1 : 0;
    }
    covered += paired_interval(differences).contains(truth) ? 1 : 0;
  }
  EXPECT_GE(covered, kTrials * 0.94);
  EXPECT_LE(covered, kTrials * 0.98);
}

}  // namespace
}  // namespace binade
