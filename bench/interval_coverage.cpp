// Prints how often every interval of the accuracy table holds the true value, on simulated results.
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "tests/harness/simulated_results.hpp"

int main(int count, char** words) {
  const int trials = count > 1 ? std::atoi(words[1]) : 4000;
  if (trials < 1 || count > 2) {
    fmt::print(stderr, "usage: bench_interval_coverage [TRIALS]\n");
    return 2;
  }
  fmt::print("{} trials, one standard error of a coverage of 0.95 is {:.4f}\n", trials,
             std::sqrt(0.95 * 0.05 / trials));
  for (const binade::Coverage& found : binade::simulate_coverage(trials, 1000)) {
    fmt::print("{:.4f}  width {:5.2f} points  {}\n", found.covered, found.width, found.interval);
  }
  return 0;
}
