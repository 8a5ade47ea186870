// Inputs for the op harness, and the loop that fuzzes shapes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "tests/harness/check_op.hpp"

namespace binade::harness {

Fill uniform(double lo, double hi, std::vector<double> kinks, double margin) {
  return [=](Tensor<double>& t, Random& random) {
    for (double& v : t.span()) {
      do {
        v = random.uniform(lo, hi);
      } while (std::any_of(kinks.begin(), kinks.end(), [&](double k) { return std::abs(v - k) < margin; }));
    }
  };
}

Fill distinct() {
  return [](Tensor<double>& t, Random& random) {
    std::vector<double> values(static_cast<std::size_t>(t.count()));
    std::iota(values.begin(), values.end(), 0.0);
    random.shuffle(values);
    for (std::int64_t i = 0; i < t.count(); ++i) {
      t[i] = values[static_cast<std::size_t>(i)] * 4 / static_cast<double>(t.count()) - 2;
    }
  };
}

Fill labels(int classes, int ignored) {
  return [=](Tensor<double>& t, Random& random) {
    for (double& v : t.span()) {
      v = random.below(4) == 0 ? ignored : static_cast<int>(random.below(static_cast<std::uint64_t>(classes)));
    }
  };
}

void fuzz(int count, const std::function<void(std::uint64_t seed, Random&)>& body) {
  std::uint64_t first = 1;
  if (const char* given = std::getenv("BINADE_FUZZ_SEED")) {
    first = std::strtoull(given, nullptr, 10);
    count = 1;
  }
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
    SCOPED_TRACE("replay: BINADE_FUZZ_SEED=" + std::to_string(seed) +
                 " build/tests/test_core --gtest_filter=" + test->test_suite_name() + "." + test->name());
    Random random(seed, 77);
    body(seed, random);
    if (::testing::Test::HasFatalFailure() || ::testing::Test::HasNonfatalFailure()) return;
  }
}

int between(Random& random, int lo, int hi) {
  return lo + static_cast<int>(random.below(static_cast<std::uint64_t>(hi - lo) + 1));
}

}  // namespace binade::harness
