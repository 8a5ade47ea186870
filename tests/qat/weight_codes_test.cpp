// Oscillation: what counts as one, how it is remembered, and weights that are held.
#include "qat/weight_codes.hpp"

#include <gtest/gtest.h>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"

namespace binade {
namespace {

const QuantSpec kGrid{2, 4, true};  // steps of 1/4

/// Runs single weights through given values.
std::vector<float> run(WeightCodes& codes, const std::vector<float>& values) {
  codes.begin(std::span(values).first(1), kGrid, Rounding::half_away);
  std::vector<float> kept;
  for (std::size_t i = 1; i < values.size(); ++i) {
    float weight = values[i];
    codes.step({&weight, 1}, kGrid, Rounding::half_away);
    kept.push_back(weight);
  }
  return kept;
}

TEST(WeightCodes, OnlyAChangeOfDirectionCounts) {
  const OscillationOptions options{.memory = 0.5, .oscillates = 0.4};
  WeightCodes still(options, {1, 1, 1, 1}), one_way(options, {1, 1, 1, 1}), swing(options, {1, 1, 1, 1});
  run(still, {0.5f, 0.51f, 0.49f, 0.5f});
  EXPECT_EQ(still.memory()[0], 2.0f);  // its code never changed
  run(one_way, {0, 0.25f, 0.5f, 0.75f});
  EXPECT_EQ(one_way.memory()[0], 0.0f);
  EXPECT_EQ(one_way.oscillating(), 0);
  run(swing, {0, 0.25f, 0, 0, 0.25f});  // up; down: 1/2; 1/4; up: 1/8 + 1/2
  EXPECT_EQ(swing.memory()[0], 0.625f);
  EXPECT_EQ(swing.oscillating(), 1);
  run(swing, {0.25f, 0});
  EXPECT_EQ(swing.memory()[0], -0.8125f);  // the last change was downwards
}

TEST(WeightCodes, HeldUntilTheFrequencyHasDecayed) {
  const OscillationOptions options{.memory = 0.5, .freeze_above = 0.4, .release_below = 0.2};
  WeightCodes codes(options, {1, 1, 1, 1});
  // Up, down (1/2: held at 0), then pulled away: 1/4 held, 1/8 back once more and released, free.
  const std::vector<float> kept = run(codes, {0, 0.25f, 0.01f, 0.5f, 0.5f, 0.5f});
  EXPECT_EQ(kept, (std::vector<float>{0.25f, 0, 0, 0, 0.5f}));
  EXPECT_EQ(codes.held(), 1);  // for going up again was an oscillation
}

TEST(WeightCodes, ANewGridIsNoOscillation) {
  WeightCodes codes({.memory = 0.5}, {1, 1, 1, 1});
  float weight = 0.5f;
  codes.begin({&weight, 1}, kGrid, Rounding::half_away);
  for (const int frac : {3, 2, 3, 2}) {
    codes.step({&weight, 1}, {static_cast<std::int8_t>(frac), 4, true}, Rounding::half_away);
    EXPECT_EQ(codes.memory()[0], 2.0f);
  }
}

TEST(WeightCodes, TheSameOnAnyNumberOfThreads) {
  const int before = thread_count();
  std::vector<std::vector<float>> memories;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    const Shape shape{1, 1, 1, 50000};
    WeightCodes codes({.freeze_above = 0.02, .release_below = 0.01}, shape);
    Random random(3);
    std::vector<float> weights(50000);
    for (float& w : weights) w = static_cast<float>(random.uniform(-2, 2));
    codes.begin(weights, kGrid, Rounding::half_away);
    for (int step = 0; step < 20; ++step) {
      for (float& w : weights) w += static_cast<float>(random.uniform(-0.1, 0.1));
      codes.step(weights, kGrid, Rounding::half_away);
    }
    EXPECT_GT(codes.held(), 100);
    memories.emplace_back(codes.memory().span().begin(), codes.memory().span().end());
    memories.back().insert(memories.back().end(), weights.begin(), weights.end());
  }
  set_thread_count(before);
  EXPECT_EQ(memories[0], memories[1]);
  EXPECT_EQ(memories[0], memories[2]);
}

}  // namespace
}  // namespace binade
