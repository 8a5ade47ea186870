// Learning rates at points where they can be told by hand.
#include "qat/schedule.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

TEST(Schedule, CosineFallsFromThePeakToTheEnd) {
  const ScheduleOptions options{.name = "cosine", .learning_rate = 0.4, .warmup_epochs = 0, .final_factor = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, 10, 4), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(options, 20, 10, 4), 0.4 * 0.55);  // half way
  const double quarter = (2 + std::sqrt(2.0)) / 4;                  // (1 + cos 45 deg) / 2
  EXPECT_NEAR(learning_rate(options, 10, 10, 4), 0.4 * (0.1 + 0.9 * quarter), 1e-15);
  EXPECT_DOUBLE_EQ(learning_rate(options, 40, 10, 4), 0.04);
}

TEST(Schedule, WarmUpIsALineAndTheCurveStartsAfterIt) {
  const ScheduleOptions options{.name = "cosine", .learning_rate = 1, .warmup_epochs = 2, .warmup_start = 0.2};
  EXPECT_DOUBLE_EQ(learning_rate(options, 0, 5, 6), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 5, 5, 6), 0.6);
  EXPECT_DOUBLE_EQ(learning_rate(options, 10, 5, 6), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(options, 20, 5, 6), 0.5);  // half of the four epochs after the warm-up
}

TEST(Schedule, StepDropsEveryFewEpochs) {
  const ScheduleOptions options{
      .name = "step", .learning_rate = 0.1, .warmup_epochs = 1, .step_epochs = 3, .step_factor = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate(options, 100, 100, 10), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(options, 399, 100, 10), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(options, 400, 100, 10), 0.05);
  EXPECT_DOUBLE_EQ(learning_rate(options, 700, 100, 10), 0.025);
}

TEST(Schedule, UnknownNameIsAUsageError) {
  try {
    learning_rate({.name = "cosin"}, 0, 1, 1);
    FAIL() << "an unknown schedule was accepted";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "unknown schedule 'cosin'; did you mean 'cosine'? Known: cosine, step, constant");
  }
}

TEST(Schedule, EveryCurveStaysWithinThePeak) {
  for (const ScheduleEntry& entry : schedule_table()) {
    const ScheduleOptions options{.name = std::string(entry.name), .learning_rate = 0.3, .warmup_epochs = 1.5};
    for (int step = 0; step < 70; ++step) {
      const double rate = learning_rate(options, step, 7, 10);
      EXPECT_GT(rate, 0) << entry.name << " at step " << step;
      EXPECT_LE(rate, 0.3) << entry.name << " at step " << step;
    }
  }
}

}  // namespace
}  // namespace binade
