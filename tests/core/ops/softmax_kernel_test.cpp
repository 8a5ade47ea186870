// The softmax kernels of all instruction sets against sums in double, over any length of rows and extreme logits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/random.hpp"
#include "core/ops/simd/softmax.hpp"

namespace binade {
namespace {

std::vector<simd::SoftmaxKernel> kernels() {
  std::vector<simd::SoftmaxKernel> all{simd::softmax_portable};
#if defined(__x86_64__)
  if (detected_isa() >= Isa::avx2) all.push_back(simd::softmax_avx2);
  if (detected_isa() >= Isa::avx512) all.push_back(simd::softmax_avx512);
#endif
  return all;
}

struct Result {
  std::vector<float> probabilities, log_sums;
};

Result run(simd::SoftmaxKernel kernel, const std::vector<float>& x, std::int64_t c, float factor) {
  const auto rows = static_cast<std::int64_t>(x.size()) / c;
  Result result{std::vector<float>(x.size()), std::vector<float>(static_cast<std::size_t>(rows))};
  kernel({.x = x.data(),
          .probabilities = result.probabilities.data(),
          .log_sums = result.log_sums.data(),
          .rows = rows,
          .c = c,
          .factor = factor});
  return result;
}

TEST(SoftmaxKernel, IsTheSoftmax) {
  Random random(5);
  for (const std::int64_t c : {1, 2, 3, 8, 15, 16, 17, 19, 33, 1000}) {
    for (const double spread : {0.01, 4.0, 30.0}) {
      std::vector<float> x(static_cast<std::size_t>(37 * c));
      for (float& v : x) v = static_cast<float>(random.uniform(-spread, spread) - 5);
      const float factor = 0.5f;
      for (const simd::SoftmaxKernel kernel : kernels()) {
        const Result result = run(kernel, x, c, factor);
        std::vector<double> sums(result.log_sums.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
          sums[i / static_cast<std::size_t>(c)] += std::exp(0.5 * static_cast<double>(x[i]));
        }
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t row = i / static_cast<std::size_t>(c);
          const double sum = sums[row];
          const double wanted = std::exp(0.5 * static_cast<double>(x[i])) / sum;
          ASSERT_NEAR(result.probabilities[i] / wanted, 1, 0x1p-24 * (8 + spread))
              << c << " channels, spread " << spread;
          ASSERT_NEAR(result.log_sums[row], std::log(sum), 3e-6 + 1e-7 * std::abs(std::log(sum)));
        }
      }
    }
  }
}

TEST(SoftmaxKernel, LargeLogitsAreFinite) {
  for (const simd::SoftmaxKernel kernel : kernels()) {
    const Result result = run(kernel, {1e30f, -1e30f, 88, 1e4f, -1e4f, 0}, 3, 1);
    EXPECT_EQ(result.probabilities[0], 1);
    EXPECT_LT(result.probabilities[1], 1e-37);
    EXPECT_EQ(result.log_sums[0], 1e30f);
    EXPECT_EQ(result.log_sums[1], 1e4f);
  }
}

TEST(SoftmaxKernel, WhatIsNotFiniteShows) {
  for (const simd::SoftmaxKernel kernel : kernels()) {
    for (std::size_t at = 0; at < 19; ++at) {
      std::vector<float> x(38, 1.0f);
      x[at] = std::numeric_limits<float>::quiet_NaN();
      const Result result = run(kernel, x, 19, 1);
      EXPECT_TRUE(std::isnan(result.log_sums[0])) << at;
      EXPECT_TRUE(std::isnan(result.probabilities[18 - at])) << at;
      EXPECT_FALSE(std::isnan(result.log_sums[1])) << "another row";
      x[at] = std::numeric_limits<float>::infinity();
      EXPECT_TRUE(std::isnan(run(kernel, x, 19, 1).log_sums[0])) << at;
    }
  }
}

}  // namespace
}  // namespace binade
