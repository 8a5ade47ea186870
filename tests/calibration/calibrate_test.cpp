// The fast mode: means agree, presets keep their promises, results have the same bits again and on any threads.
#include "calibration/calibrate.hpp"

#include <gtest/gtest.h>

#include "calibration/channel_means.hpp"
#include "calibration/estimators/estimators.hpp"
#include "calibration/lock_step.hpp"
#include "core/base/error.hpp"
#include "core/passes/clamp_weights.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/layers.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

using test::random_images;
using test::run;
using test::small_network;
using test::sqnr_db;

class Calibrate : public testing::Test {
 protected:
  CalibrateResult calibrated(const CalibrateOptions& options) {
    TensorImages images(images_);
    return calibrate(network_, images, options);
  }
  double sqnr(const CalibrateOptions& options) { return sqnr_db(wanted_, run(calibrated(options).quantized, images_)); }

  Graph network_ = small_network(3);
  Tensor<float> images_ = random_images(40, {1, 12, 12, 3}, 5);
  Tensor<float> wanted_ = run(network_, images_);
};

/// Mean of each channel of the value `name`.
std::vector<double> means(const Graph& graph, const Tensor<float>& images, const std::string& name) {
  ValueId id{};
  EXPECT_TRUE(graph.find(name, id));
  ChannelMeans found(graph.shape(id).c);
  found.reserve(images.shape().n);
  Executor<float> executor(graph);
  executor.forward(images.view(), [&](ValueId value, View<const float> view, int first) {
    if (value == id) found.add(view, first);
  });
  return found.of(0, images.shape().n).mean;
}

/// The largest difference of the means of a layer's output beyond half a step of its bias, over all layers with one.
double largest_bias(const Graph& reference, const Graph& quantized, const Tensor<float>& images) {
  double largest = 0;
  for (const Node& node : quantized.nodes()) {
    if (!has_bias(node)) continue;
    const double step = std::get<FakeQuant>(quantized.producer(node.in[kBias])->op).spec.step();
    const std::vector<double> wanted = means(reference, images, node.name), got = means(quantized, images, node.name);
    for (std::size_t c = 0; c < wanted.size(); ++c) {
      largest = std::max(largest, std::abs(wanted[c] - got[c]) - step / 2);
    }
  }
  return largest;
}

CalibrateOptions plain() {
  return {.weight_bits = 4, .range = "min_max", .batch = 40};
}

TEST_F(Calibrate, MeansOfAllLayersAgreeAfterOneWholeStep) {
  CalibrateOptions options = plain();
  const Graph reference = fold_batch_norm(network_);
  EXPECT_LT(largest_bias(reference, calibrated(options).quantized, images_), 1e-4);
  options.factor = 0;
  EXPECT_GT(largest_bias(reference, calibrated(options).quantized, images_), 0.05);
}

TEST_F(Calibrate, DecayingStepsMakeMeansOverBatches) {
  CalibrateOptions options = plain();
  const Graph reference = fold_batch_norm(network_);
  options.factor = 0;
  const double uncorrected = largest_bias(reference, calibrated(options).quantized, images_);
  options.factor = 1;
  options.batch = 10;
  EXPECT_LT(largest_bias(reference, calibrated(options).quantized, images_), uncorrected / 10);
  // A constant small factor goes there geometrically: 0.95^4, 0.95^200.
  options.decay = false;
  options.factor = 0.05;
  EXPECT_GT(largest_bias(reference, calibrated(options).quantized, images_), uncorrected / 3);
  options.iterations = 200;
  EXPECT_LT(largest_bias(reference, calibrated(options).quantized, images_), uncorrected / 10);
}

TEST_F(Calibrate, StopsWhenNothingMoves) {
  CalibrateOptions options = plain();
  options.iterations = 50;
  options.tolerance = 1e-3;
  const CalibrateResult result = calibrated(options);
  EXPECT_EQ(result.report["settled"], true);
  EXPECT_LT(result.report["steps"].get<int>(), 5);
  EXPECT_GT(result.report["movements"][0].get<double>(), 1e-3);
}

TEST_F(Calibrate, PresetsKeepTheNetwork) {
  for (const CalibratePreset& preset : calibrate_presets()) EXPECT_GT(sqnr(preset.make(8, 8)), 12) << preset.name;
  const double fast = sqnr(calibrate_preset("default", 4, 8));
  for (const char* ti : {"ti-simple", "ti-advanced", "ti-advanced-dw"}) {
    EXPECT_GT(fast, sqnr(calibrate_preset(ti, 4, 8)) + 4) << ti;
  }
  EXPECT_GT(sqnr(calibrate_preset("ti-advanced", 8, 8)), sqnr(calibrate_preset("ti-simple", 8, 8)) + 1);
  EXPECT_GT(sqnr(calibrate_preset("default", 16, 16)), 60);
  EXPECT_THROW(calibrate_preset("ti", 8, 8), UsageError);
}

TEST_F(Calibrate, EveryRangeIsTaken) {
  for (const char* range : {"running", "least_noise", "min_max", "percentile", "mse", "kl"}) {
    CalibrateOptions options = plain();
    options.weight_bits = 8;
    options.range = range;
    EXPECT_GT(sqnr(options), 5) << range;
  }
  CalibrateOptions options = plain();
  options.range = "runing";
  EXPECT_THROW(calibrated(options), UsageError);
}

TEST_F(Calibrate, TheSameBitsAgainAndOnAnyNumberOfThreads) {
  const int threads = thread_count();
  for (const CalibratePreset& preset : calibrate_presets()) {
    CalibrateOptions options = preset.make(8, 8);
    options.iterations = std::min(options.iterations, 12);
    options.weight_factor = 0.1;
    set_thread_count(1);
    const Tensor<float> one = run(calibrated(options).quantized, images_);
    set_thread_count(3);
    const Tensor<float> three = run(calibrated(options).quantized, images_);
    set_thread_count(threads);
    EXPECT_EQ(one, three) << preset.name;
    EXPECT_EQ(one, run(calibrated(options).quantized, images_)) << preset.name;
  }
}

/// The graph of one linear layer y = w x + b on an input of 2 channels.
Graph one_layer(float w, float b) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, 2});
  graph.set_output(graph.add(
      "y", Linear{},
      {x, graph.parameter("w", Tensor<float>({1, 1, 1, 2}, w)), graph.parameter("b", Tensor<float>({1, 1, 1, 1}, b))}));
  return graph;
}

TEST(TiCalibration, BiasesMoveByFivePercentOfTheDifference) {
  // Weights 0.3 become 0.296875 (code 38 of 1/128 ... of clip 0.5: 77/256), the input 1 becomes 255/256 or 127/128.
  const Graph graph = one_layer(0.3F, 0.0F);
  const SpecMap specs{{"x", {7, 8, true}}, {"w", {2, 4, true}}, {"y", {7, 8, true}}};  // w: 0.25
  const LockStepOptions options{.batch = 4, .running_ranges = false};
  LockStep lock_step(graph, graph, specs, options);
  const Tensor<float> images({4, 1, 1, 2}, 0.5F);
  // Float 0.3, quantized 0.25: the difference is 0.05, then 0.95 times as much, and so on.
  double left = 0.05;
  for (int i = 0; i < 3; ++i) {
    lock_step.step(images.view(), 0, 0.05, 0);
    left *= 0.95;
    const Graph quantized = lock_step.quantized();
    ValueId bias{};
    ASSERT_TRUE(quantized.find("b", bias));
    EXPECT_NEAR(static_cast<double>(quantized.tensor(bias)[0]), 0.05 - left, 1e-7) << i;
  }
}

TEST(TiCalibration, WeightsMoveByTheRatioOfDeviations) {
  const Graph graph = one_layer(0.3F, 0.0F);
  const SpecMap specs{{"x", {7, 8, true}}, {"w", {2, 4, true}}, {"y", {5, 8, true}}};
  LockStep lock_step(graph, graph, specs, {.batch = 2, .running_ranges = false});
  Tensor<float> images({2, 1, 1, 2});
  images[0] = images[1] = 0.5F;
  lock_step.step(images.view(), 0, 0, 0.05);
  const Graph quantized = lock_step.quantized();
  ValueId w{};
  ASSERT_TRUE(quantized.find("w", w));
  // Deviations 0.15 and 0.125.
  EXPECT_NEAR(static_cast<double>(quantized.tensor(w)[0]), 0.3 * std::pow(0.15 / 0.125, 0.05), 1e-5);
}

TEST(TiCalibration, RangesAreAveragedAndRoundedUp) {
  // Appendix C: batch maxima 4, 6, 3: 4, then 6, then 4.5, whose clip is 8.
  Graph graph;
  graph.set_output(graph.add("y", Relu{}, {graph.input("x", {1, 1, 1, 4})}));
  LockStep lock_step(graph, graph, {{"x", {0, 8, true}}, {"y", {0, 8, true}}}, {.batch = 1, .percentile = 0});
  const double fracs[] = {6, 5, 5};  // 256 / 4, 256 / 8, 256 / 8
  int i = 0;
  for (const float largest : {4.0F, 6.0F, 3.0F}) {
    Tensor<float> image({1, 1, 1, 4});
    image[2] = largest;
    lock_step.step(image.view(), i, 0, 0);
    const QuantSpec spec = quantizer_specs(lock_step.quantized()).at("y");
    EXPECT_EQ(spec.frac, fracs[i]) << i;
    EXPECT_FALSE(spec.is_signed);
    ++i;
  }
}

TEST(TiCalibration, GridsOfTheConformanceVectors) {
  struct Vector {
    double value, range;
    bool is_signed;
    Rounding rounding;
    int code;
    double real;
  };
  constexpr Rounding kWeight = Rounding::half_away, kActivation = Rounding::half_up;
  const Vector vectors[] = {
      {0.7, 0.7, true, kWeight, 90, 0.703125},
      {0.5, 0.5, true, kWeight, 127, 0.49609375},
      {-0.5, 0.5, true, kWeight, -128, -0.5},
      {1.0 / 256, 0.7, true, kWeight, 1, 0.0078125},
      {-1.0 / 256, 0.7, true, kWeight, -1, -0.0078125},
      {0.3, 5.3, true, kWeight, 5, 0.3125},
      {3.0, 5.5, false, kActivation, 96, 3.0},
      {8.0, 5.5, false, kActivation, 255, 7.96875},
      {-1.0, 5.5, false, kActivation, 0, 0},
      {-0.03125, 5.5, true, kActivation, 0, 0},
      {0.03125, 5.5, true, kActivation, 1, 0.0625},
      {-0.09375, 5.5, true, kActivation, -1, -0.0625},
      {6.0, 6.0, false, kActivation, 192, 6.0},
  };
  const QuantizerOptions house;
  EXPECT_EQ(house.weights, kWeight);
  EXPECT_EQ(house.activations, kActivation);
  for (const Vector& v : vectors) {
    // Through the estimators that choose TI's grids: weights by their maximum, activations by a running range.
    Tensor<float> seen({1, 1, 1, 2});
    seen[0] = static_cast<float>(v.range);
    seen[1] = v.is_signed ? -seen[0] : 0;
    RunningRange range;
    range.add(seen.view(), 0, 0);
    EXPECT_EQ(range.spec(8), choose_min_max(TensorStats::of(seen.view()), {.bits = 8, .is_signed = v.is_signed}));
    EXPECT_EQ(quantize(v.value, range.spec(8), v.rounding), v.code) << v.value;
    EXPECT_EQ(dequantize(v.code, range.spec(8)), v.real) << v.value;
  }
}

/// y = relu6(x) on four channels, whose images reach 8.5 `reaching` times.
Graph capped() {
  Graph graph;
  graph.set_output(graph.add("y", Clip{.lo = 0, .hi = 6}, {graph.input("x", {1, 1, 1, 4})}));
  return graph;
}
Tensor<float> with_peaks(int reaching) {
  Tensor<float> images = random_images(32, {1, 1, 1, 4}, 3);
  for (std::int64_t i = 0; i < images.count(); ++i) images[i] = std::abs(images[i]);
  for (int i = 0; i < reaching; ++i) images[4 * i] = 8.5F;
  return images;
}

TEST(TiCalibration, ReluSixLosesItsCap) {
  TensorImages few(with_peaks(1));
  CalibrateOptions options = calibrate_preset("ti-simple", 8, 8);
  EXPECT_TRUE(options.uncap_relu);
  options.batch = 32;
  EXPECT_EQ(quantizer_specs(calibrate(capped(), few, options).quantized).at("y"), spec_for_clip(8.5, 8, false));
  options.uncap_relu = false;
  EXPECT_EQ(quantizer_specs(calibrate(capped(), few, options).quantized).at("y"), spec_for_clip(6, 8, false));
}

TEST(TiCalibration, CapsThatANetworkLivesByStay) {
  TensorImages all(with_peaks(32));
  CalibrateOptions options = calibrate_preset("ti-simple", 8, 8);
  options.batch = 32;
  const CalibrateResult result = calibrate(capped(), all, options);
  EXPECT_TRUE(result.report["relu_caps"]["kept"].get<bool>());
  EXPECT_EQ(quantizer_specs(result.quantized).at("y"), spec_for_clip(6, 8, false));
}

// TI follows the float network as it was given; its weights are limited in the quantized one only.
TEST(TiCalibration, ClampedWeightsAreMadeUpForByBiases) {
  Graph graph;
  Tensor<float> w({1, 1, 1, 4}, 1.0F);
  w[3] = 40;
  graph.set_output(graph.add(
      "y", Linear{},
      {graph.input("x", {1, 1, 1, 4}), graph.parameter("w", w), graph.parameter("b", Tensor<float>({1, 1, 1, 1}))}));
  const Tensor<float> seen({8, 1, 1, 4}, 0.5F);
  TensorImages images(seen);
  CalibrateOptions options = calibrate_preset("ti-advanced", 8, 8);
  options.bias_bits = 32;
  options.iterations = 400;
  const Graph quantized = calibrate(graph, images, options).quantized;
  ValueId id{};
  ASSERT_TRUE(quantized.find("w", id));
  EXPECT_EQ(quantized.tensor(id)[3], 15.0F);
  ASSERT_TRUE(quantized.find("b", id));
  const double x = fake_quantize(0.5, quantizer_specs(quantized).at("x"), Rounding::half_up);
  EXPECT_NEAR(static_cast<double>(quantized.tensor(id)[0]), 43 * 0.5 - 18 * x, 1e-3);
}

TEST(TiCalibration, PresetsHaveTisConstants) {
  const CalibrateOptions advanced = calibrate_preset("ti-advanced", 8, 8);
  EXPECT_EQ(advanced.factor, 0.05);
  EXPECT_FALSE(advanced.decay);
  EXPECT_EQ(advanced.percentile, 0.01);
  EXPECT_EQ(advanced.bias_bits, 8);
  EXPECT_EQ(advanced.weight_factor, 0);
  EXPECT_TRUE(advanced.clamp_weights);
  EXPECT_EQ(advanced.range, "running");
  EXPECT_EQ(advanced.weight_range, "min_max");
  const CalibrateOptions simple = calibrate_preset("ti-simple", 8, 8);
  EXPECT_EQ(simple.factor, 0);
  EXPECT_EQ(simple.percentile, 0);
  EXPECT_FALSE(simple.clamp_weights);
  const CalibrateOptions depthwise = calibrate_preset("ti-advanced-dw", 8, 8);
  EXPECT_TRUE(depthwise.per_channel_depthwise);
  EXPECT_FALSE(depthwise.clamp_weights);  // constrain_weights = bias_calibration and not per_channel_q
}

TEST(TiCalibration, DepthwiseChannelsHaveGridsOfTheirOwn) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 3, 3, 3});
  Tensor<float> w({3, 1, 1, 1});
  w[0] = 1.9F;
  w[1] = 0.3F;
  w[2] = 1e-4F;
  graph.set_output(graph.add("y", Conv2d{.groups = 3}, {x, graph.parameter("w", w)}));
  Graph quantized = graph;
  EXPECT_EQ(per_channel_depthwise(quantized, Widths(quantized, 8, 8, {})), std::vector<std::string>{"w"});
  ValueId id{};
  ASSERT_TRUE(quantized.find("w", id));
  const Tensor<float>& found = quantized.tensor(id);
  EXPECT_EQ(found[0], std::round(1.9F * 64) / 64);    // clip 2, scale 64
  EXPECT_EQ(found[1], std::round(0.3F * 256) / 256);  // clip 1/2, scale 256
  // Its own scale would be 128 * 2^13; TI's cap is 256 times the tensor's 64.
  EXPECT_EQ(found[2], std::round(1e-4F * 64 * 256) / (64 * 256));
  const QuantSpec container{14, 16, true};  // one grid of 16 bits, clip 2
  for (const float v : found.span()) EXPECT_EQ(v, fake_quantize(v, container, Rounding::half_away));
}

}  // namespace
}  // namespace binade
