// Random numbers: frozen values, since results carry seeds, and the distributions they promise.
#include "core/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace binade {
namespace {

TEST(Random, values_are_frozen) {
  Random random(1);
  const std::array<std::uint64_t, 3> wanted{0xd77ff7ace969e5bcULL, 0x58a30ed876e1e08cULL, 0xf7b60e3ab8dadae0ULL};
  for (const std::uint64_t word : wanted) EXPECT_EQ(random.next(), word);
  EXPECT_EQ(Random(1, 7).word(1000000), 0x5cfc822af6c1ffc6ULL);
  EXPECT_EQ(Random(0).word(0), 0xc7ab9b68d54636eeULL);
}

TEST(Random, a_word_depends_on_its_counter_alone) {
  Random random(42, 3);
  const Random other(42, 3);
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(random.next(), other.word(i));
}

TEST(Random, streams_and_seeds_differ) {
  std::vector<std::uint64_t> words;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (std::uint64_t stream = 0; stream < 100; ++stream) words.push_back(Random(seed, stream).word(0));
  }
  std::sort(words.begin(), words.end());
  EXPECT_EQ(std::unique(words.begin(), words.end()), words.end());
}

/// Pearson's statistic of counts that should be equal.
template <std::size_t N>
double chi_square(const std::array<int, N>& counts) {
  const double expected = std::accumulate(counts.begin(), counts.end(), 0.0) / N;
  double sum = 0;
  for (const int c : counts) sum += (c - expected) * (c - expected) / expected;
  return sum;
}

TEST(Random, uniform_numbers_are_uniform) {
  std::array<int, 256> high{}, pairs{};
  std::array<int, 10> digits{};
  Random random(5);
  double mean = 0;
  for (int i = 0; i < 256000; ++i) {
    const double u = random.uniform(), v = random.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    mean += u / 256000;
    ++high[static_cast<std::size_t>(u * 256)];
    ++pairs[static_cast<std::size_t>(u * 16) * 16 + static_cast<std::size_t>(v * 16)];
    ++digits[random.below(10)];
  }
  EXPECT_NEAR(mean, 0.5, 0.003);
  EXPECT_LT(chi_square(high), 347);  // 255 degrees of freedom: one in ten thousand
  EXPECT_LT(chi_square(pairs), 347);
  EXPECT_LT(chi_square(digits), 34);  // 9 degrees of freedom
}

TEST(Random, every_bit_is_set_half_of_the_time) {
  std::array<int, 64> counts{};
  const Random random(9);
  for (std::uint64_t i = 0; i < 40000; ++i) {
    const std::uint64_t word = random.word(i);
    for (std::size_t bit = 0; bit < 64; ++bit) counts[bit] += static_cast<int>(word >> bit & 1);
  }
  for (const int count : counts) EXPECT_NEAR(count, 20000, 500);  // five standard deviations
}

TEST(Random, normal_numbers_have_their_moments) {
  Random random(11);
  constexpr int kCount = 200000;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.012);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NEAR(fourth / kCount, 3, 0.15);
}

TEST(Random, shuffle_permutes_fairly) {
  std::array<int, 24> counts{};
  Random random(13);
  for (int i = 0; i < 24000; ++i) {
    std::vector<int> items{0, 1, 2, 3};
    random.shuffle(items);
    std::vector<int> sorted = items;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted, (std::vector<int>{0, 1, 2, 3}));
    std::size_t rank = 0;  // in the order of permutations
    for (std::size_t a = 0; a < 4; ++a) {
      std::size_t smaller = 0;
      for (std::size_t b = a + 1; b < 4; ++b) smaller += items[b] < items[a] ? 1 : 0;
      rank = rank * (4 - a) + smaller;
    }
    ++counts[rank];
  }
  EXPECT_LT(chi_square(counts), 56);  // 23 degrees of freedom
}

}  // namespace
}  // namespace binade
