// Statistics: the same bits for any split and order; estimators: their defining properties.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "calibration/collect.hpp"
#include "calibration/estimators/estimators.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"

namespace binade {
namespace {

Tensor<float> images(int count, std::uint64_t seed) {
  Tensor<float> tensor({count, 5, 4, 3});
  Random random(seed);
  double scale = 1e-3;
  for (int i = 0; i < count; ++i) {
    for (float& x : tensor.view().images(i, 1).span()) x = static_cast<float>(scale * random.normal());
    scale *= 3;  // ranges grow: the histogram has to double several times
  }
  return tensor;
}

TEST(TensorStats, AnySplitAndOrderGiveTheSameBits) {
  const Tensor<float> data = images(8, 1);
  TensorStats whole;
  whole.add(data.view());
  TensorStats backwards, pairs;
  for (int i = 7; i >= 0; --i) {
    TensorStats one;
    one.add(data.view().images(i, 1));
    backwards.merge(one);
  }
  for (int i = 0; i < 8; i += 2) {
    TensorStats two;
    two.add(data.view().images(i, 2));
    pairs.merge(two);
  }
  EXPECT_EQ(whole, backwards);
  EXPECT_EQ(whole, pairs);
}

TEST(TensorStats, CountsWhatIsThere) {
  const Tensor<float> data = images(6, 2);
  TensorStats stats;
  stats.add(data.view());
  EXPECT_EQ(stats.count(), data.count());
  EXPECT_EQ(stats.min(), *std::min_element(data.span().begin(), data.span().end()));
  EXPECT_EQ(stats.max(), *std::max_element(data.span().begin(), data.span().end()));
  std::int64_t total = 0;
  for (const std::int64_t n : stats.histogram()) total += n;
  EXPECT_EQ(total, data.count());
  for (int bin = 0; bin < TensorStats::kBins; bin += 97) {
    const double low = stats.bin_center(bin) - stats.bin_width() / 2, high = low + stats.bin_width();
    std::int64_t count = 0;
    for (const float x : data.span()) count += static_cast<double>(x) >= low && static_cast<double>(x) < high ? 1 : 0;
    EXPECT_EQ(stats.histogram()[static_cast<std::size_t>(bin)], count) << bin;
  }
  double sum = 0;
  for (std::int64_t i = 1; i < data.count(); i += 3) sum += static_cast<double>(data[i]);
  EXPECT_NEAR(stats.channels()[1].sum.value(), sum, 1e-12 * std::abs(sum) + 1e-12);
}

TEST(TensorStats, ZerosAndOneSidedTensors) {
  TensorStats stats;
  stats.add(Tensor<float>({1, 2, 2, 1}, 0.0F).view());
  EXPECT_FALSE(stats.is_signed());
  EXPECT_EQ(choose_min_max(stats, {.bits = 8, .is_signed = false}).frac, 8 + 16);  // TI's floor, 2^-16
  stats.add(Tensor<float>({1, 2, 2, 1}, 3.0F).view());
  EXPECT_EQ(choose_min_max(stats, {.bits = 8, .is_signed = false}).frac, 6);
  EXPECT_EQ(choose_mse(stats, {.bits = 8, .is_signed = false}).frac, 6);
}

TEST(TensorStats, NotANumberViolatesTheContract) {
  TensorStats stats;
  EXPECT_THROW(stats.add(Tensor<float>({1, 1, 1, 2}, std::nanf("")).view()), ContractError);
  // What an untrained network makes is its owner's matter.
  EXPECT_THROW(stats.add(Tensor<float>({1, 1, 1, 2}, 1e12F).view()), DataError);
}

TEST(Collect, ThreadsAndBatchesDoNotMatter) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 5, 4, 3});
  const ValueId y = graph.add("y", Relu{}, {x});
  graph.set_output(y);
  TensorImages source(images(9, 3));
  const std::array values{x, y};
  const int threads = thread_count();
  set_thread_count(1);
  const auto one = collect_stats(graph, source, values, 9);
  set_thread_count(3);
  const auto three = collect_stats(graph, source, values, 2);
  set_thread_count(threads);
  EXPECT_EQ(one, three);
  EXPECT_FALSE(one[1].is_signed());
}

TEST(Estimators, OutliersAreCutByAllButMinMax) {
  Tensor<float> data({1, 100, 100, 1});
  Random random(5);
  for (float& x : data.span()) x = static_cast<float>(random.normal());
  data[17] = 300;
  const TensorStats stats = TensorStats::of(data.view());
  const GridWish wish{.bits = 8, .is_signed = true, .percentile = 0.05};
  EXPECT_EQ(choose_min_max(stats, wish).max_real(), 512.0 * 127 / 128);
  for (const Estimator& estimator : estimator_table()) {
    const QuantSpec spec = estimator.choose(stats, wish);
    EXPECT_EQ(spec.bits, 8);
    EXPECT_TRUE(spec.is_signed);
    // The 5 outermost of 10000 are cut: what is left, 3.3 deviations, fits in 4.
    EXPECT_TRUE(estimator.name != "percentile" || spec.frac == 5) << int{spec.frac};
  }
  EXPECT_GT(choose_mse(stats, wish).frac, choose_min_max(stats, wish).frac);
  EXPECT_GT(choose_kl(stats, wish).frac, choose_min_max(stats, wish).frac);
}

TEST(Estimators, MseIsTheBestExponentByBruteForce) {
  Random random(6);
  for (int trial = 0; trial < 20; ++trial) {
    Tensor<float> data({1, 60, 60, 1});
    const double power = random.uniform(0.5, 3);
    for (float& x : data.span()) {
      const double n = random.normal();
      x = static_cast<float>((n < 0 ? -1 : 1) * std::pow(std::abs(n), power));
    }
    const QuantSpec chosen = choose_mse(TensorStats::of(data.view()), {.bits = 6, .is_signed = true});
    const auto error = [&](QuantSpec spec) {
      double sum = 0;
      for (const float x : data.span())
        sum += std::pow(static_cast<double>(x - fake_quantize(x, spec, Rounding::half_up)), 2);
      return sum;
    };
    for (const int other : {-1, 1}) {
      QuantSpec spec = chosen;
      spec.frac = static_cast<std::int8_t>(spec.frac + other);
      EXPECT_LE(error(chosen), error(spec) * 1.02) << "trial " << trial;
    }
  }
}

TEST(Estimators, UnknownNameNamesTheNearest) {
  try {
    find_estimator("min-max");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("min_max"), std::string::npos);
  }
}

}  // namespace
}  // namespace binade
