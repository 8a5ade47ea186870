// Rounding with error feedback, and the sensitivities and error tables behind the noise model.
#include <gtest/gtest.h>

#include <cmath>

#include "calibration/channel_noise.hpp"
#include "calibration/least_squares.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "ptq/sensitivity.hpp"
#include "tests/harness/small_networks.hpp"

namespace binade {
namespace {

using test::random_images;

/// Correlated inputs: the case in which feedback pays.
LayerMoments correlated_moments(int columns, int rows, const std::vector<float>& weights, std::uint64_t seed) {
  constexpr int kSamples = 400;
  Random random(seed);
  LayerMoments m{.columns = columns, .rows = rows};
  m.covariance.assign(static_cast<std::size_t>(columns * columns), 0.0);
  m.cross.assign(static_cast<std::size_t>(columns * rows), 0.0);
  std::vector<double> x(static_cast<std::size_t>(columns));
  for (int s = 0; s < kSamples; ++s) {
    double common = random.normal();
    for (double& v : x) v = common = 0.8 * common + 0.6 * random.normal();
    for (int i = 0; i < columns; ++i) {
      for (int j = 0; j < columns; ++j)
        m.covariance[static_cast<std::size_t>(i * columns + j)] +=
            x[static_cast<std::size_t>(i)] * x[static_cast<std::size_t>(j)] / kSamples;
      for (int r = 0; r < rows; ++r) {
        double y = 0;
        for (int k = 0; k < columns; ++k)
          y += static_cast<double>(weights[static_cast<std::size_t>(r * columns + k)]) * x[static_cast<std::size_t>(k)];
        m.cross[static_cast<std::size_t>(i * rows + r)] += x[static_cast<std::size_t>(i)] * y / kSamples;
      }
    }
  }
  return m;
}

double output_error(const LayerMoments& m, const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    for (std::int64_t i = 0; i < m.columns; ++i) {
      for (std::int64_t j = 0; j < m.columns; ++j) {
        const auto error = [&](std::int64_t k) {
          return static_cast<double>(a[static_cast<std::size_t>(r * m.columns + k)]) -
                 static_cast<double>(b[static_cast<std::size_t>(r * m.columns + k)]);
        };
        sum += error(i) * m.covariance[static_cast<std::size_t>(i * m.columns + j)] * error(j);
      }
    }
  }
  return sum;
}

TEST(LeastSquares, FeedbackBeatsRoundingToNearest) {
  constexpr int kColumns = 32, kRows = 8;
  constexpr QuantSpec kSpec{.frac = 3, .bits = 8, .is_signed = true};
  Random random(4);
  std::vector<float> weights;
  for (int i = 0; i < kColumns * kRows; ++i) weights.push_back(static_cast<float>(random.normal()));
  const LayerMoments moments = correlated_moments(kColumns, kRows, weights, 8);
  std::vector<float> nearest = weights, rounded = weights;
  for (float& w : nearest) w = fake_quantize(w, kSpec, Rounding::half_away);
  round_to_grid(moments, {.ridge = 0, .damping = 0.001}, kSpec, Rounding::half_away, rounded.data());
  for (const float w : rounded) EXPECT_EQ(w, fake_quantize(w, kSpec, Rounding::half_away));
  EXPECT_LT(output_error(moments, rounded, weights), 0.5 * output_error(moments, nearest, weights));
}

TEST(LeastSquares, IndependentInputsRoundToNearest) {
  constexpr int kColumns = 6;
  LayerMoments moments{.columns = kColumns, .rows = 1};
  moments.covariance.assign(kColumns * kColumns, 0.0);
  moments.cross.assign(kColumns, 0.0);
  std::vector<float> weights{0.3F, -1.2F, 0.9F, 0.06F, -0.49F, 2.0F};
  for (int i = 0; i < kColumns; ++i) {
    moments.covariance[static_cast<std::size_t>(i * kColumns + i)] = 1 + i;
    moments.cross[static_cast<std::size_t>(i)] = (1 + i) * static_cast<double>(weights[static_cast<std::size_t>(i)]);
  }
  constexpr QuantSpec kSpec{.frac = 2, .bits = 8, .is_signed = true};
  std::vector<float> rounded = weights;
  round_to_grid(moments, {}, kSpec, Rounding::half_away, rounded.data());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_EQ(rounded[i], fake_quantize(weights[i], kSpec, Rounding::half_away));
  }
}

TEST(Sensitivity, OfALinearNetworkIsItsMatrix) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, 6});
  Tensor<float> w({4, 1, 1, 6});
  Random random(2);
  for (float& v : w.span()) v = static_cast<float>(random.normal());
  graph.set_output(graph.add("y", Linear{}, {x, graph.parameter("w", w)}));
  constexpr int kImages = 4000;
  TensorImages images(random_images(kImages, {1, 1, 1, 6}, 3));
  const auto energy = output_sensitivity(graph, images, std::array{x}, kImages, 1)[0];
  for (int c = 0; c < 6; ++c) {
    double exact = 0;
    for (int o = 0; o < 4; ++o) exact += static_cast<double>(w[o * 6 + c]) * static_cast<double>(w[o * 6 + c]);
    EXPECT_NEAR(energy[static_cast<std::size_t>(c)], exact, 0.1 * exact) << c;  // 4000 draws: some 2 % deviation
  }
}

TEST(Sensitivity, PredictsTheErrorThatNoiseMakes) {
  const Graph graph = fold_batch_norm(test::small_network(6, 0.3));
  const Tensor<float> data = random_images(64, {1, 12, 12, 3}, 4);
  TensorImages images(data);
  const ValueId input = graph.inputs()[0];
  const auto energy = output_sensitivity(graph, images, std::array{input}, 64, 1)[0];
  Tensor<float> noisy = data;
  Random random(11);
  constexpr double kDeviation = 0.01;
  for (float& v : noisy.span()) v += static_cast<float>(kDeviation * random.normal());
  const Tensor<float> clean_out = test::run(graph, data), noisy_out = test::run(graph, noisy);
  double error = 0, predicted = 0;
  for (std::int64_t i = 0; i < clean_out.count(); ++i)
    error += std::pow(static_cast<double>(clean_out[i] - noisy_out[i]), 2) / 64;
  for (const double e : energy) predicted += e * kDeviation * kDeviation;
  EXPECT_NEAR(predicted / error, 1.0, 0.25);
}

TEST(ChannelNoise, AgreesWithRoundingEveryElement) {
  const Tensor<float> data = random_images(1, {1, 200, 200, 2}, 8);
  ChannelNoise table;
  table.add(data.view());
  table.finish();
  for (const double clip : {0.5, 1.0, 2.0, 4.0, 8.0}) {
    const QuantSpec spec = spec_for_clip(clip, 6, true);
    double exact = 0;
    for (std::int64_t i = 0; i < data.count(); i += 2) {
      const double x = static_cast<double>(data[i]);
      exact += std::pow(x - fake_quantize(x, spec, Rounding::half_up), 2) / 40000;
    }
    EXPECT_NEAR(table.error(0, clip, 32) / exact, 1.0, 0.15) << clip;
  }
}

}  // namespace
}  // namespace binade
