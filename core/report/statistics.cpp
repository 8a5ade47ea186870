// Formulas of the intervals and tests; every one names its source in the header.
#include "core/report/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>

#include "core/base/error.hpp"

namespace binade {

double normal_quantile(double confidence) {
  require(confidence > 0 && confidence < 1, "a confidence lies between 0 and 1");
  return boost::math::quantile(boost::math::normal(), 0.5 + confidence / 2);
}

Interval wilson_interval(double successes, double n, double confidence) {
  require(successes >= 0 && successes <= n, "wilson_interval: successes lie between 0 and n");
  if (n == 0) return {0, 1};
  const double z = normal_quantile(confidence), trials = n;
  const double p = successes / trials;
  const double centre = p + z * z / (2 * trials);
  const double half = z * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  const double scale = 1 + z * z / trials;
  // The ends at 0 and n are exactly 0 and 1; rounding must not say otherwise.
  return {successes == 0 ? 0 : (centre - half) / scale, successes == trials ? 1 : (centre + half) / scale};
}

Interval paired_interval(const PairedCounts& counts, double confidence) {
  const double n = static_cast<double>(counts.n()) + 2;
  const double gained = (static_cast<double>(counts.second_only) + 1) / n;
  const double lost = (static_cast<double>(counts.first_only) + 1) / n;
  const double difference = gained - lost;
  const double half = normal_quantile(confidence) * std::sqrt((gained + lost - difference * difference) / n);
  return {std::max(-1.0, difference - half), std::min(1.0, difference + half)};
}

double effective_images(std::span<const double> copies) {
  double total = 0, squares = 0;
  for (const double count : copies) {
    total += count;
    squares += count * count;
  }
  return total == 0 ? 0 : total * total / squares;
}

Interval paired_interval(std::span<const double> differences, double confidence, std::span<const double> copies) {
  require(copies.empty() || copies.size() == differences.size(), "paired_interval: a number of copies per difference");
  double total = 0, sum = 0, squares = 0;
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const double weight = copies.empty() ? 1 : copies[i];
    total += weight;
    sum += weight * differences[i];
    squares += weight * differences[i] * differences[i];
  }
  const double images = copies.empty() ? static_cast<double>(differences.size()) : effective_images(copies);
  const double scale = total == 0 ? 0 : images / total, n = images + 2;
  const double mean = sum * scale / n, square = (squares * scale + 2) / n;
  const double half = normal_quantile(confidence) * std::sqrt((square - mean * mean) / n);
  return {std::max(-1.0, mean - half), std::min(1.0, mean + half)};
}

namespace {

/// P(|sum of +-steps| >= |total|), every sign as likely as the other, by the distribution of the sum.
double sign_distribution_p(const std::vector<std::int64_t>& steps, std::int64_t total) {
  const std::int64_t reach = std::accumulate(steps.begin(), steps.end(), std::int64_t{0});
  std::vector<double> probability(static_cast<std::size_t>(2 * reach + 1)), next(probability.size());
  probability[static_cast<std::size_t>(reach)] = 1;
  std::int64_t radius = 0;
  for (const std::int64_t step : steps) {
    std::fill(next.begin(), next.end(), 0.0);
    for (std::int64_t s = -radius; s <= radius; ++s) {
      const double half = probability[static_cast<std::size_t>(reach + s)] / 2;
      if (half == 0) continue;
      next[static_cast<std::size_t>(reach + s + step)] += half;
      next[static_cast<std::size_t>(reach + s - step)] += half;
    }
    radius += step;
    probability.swap(next);
  }
  double p = 0;
  for (std::int64_t s = std::abs(total); s <= reach; ++s) p += probability[static_cast<std::size_t>(reach + s)];
  return std::min(1.0, total == 0 ? 1.0 : 2 * p);
}

}  // namespace

double sign_flip_p(std::span<const double> differences) {
  constexpr double kMultiples = 5040;  // halves, thirds, ... tenths are exact
  std::vector<std::int64_t> steps;
  std::int64_t total = 0, divisor = 0;
  for (const double d : differences) {
    const auto step = static_cast<std::int64_t>(std::llround(d * kMultiples));
    if (step == 0) continue;
    total += step;
    steps.push_back(std::abs(step));
    divisor = std::gcd(divisor, std::abs(step));
  }
  if (steps.empty()) return 1;
  std::int64_t reach = 0;
  double squares = 0;
  for (std::int64_t& step : steps) {
    step /= divisor;
    reach += step;
    squares += static_cast<double>(step) * static_cast<double>(step);
  }
  total /= divisor;
  if (reach == static_cast<std::int64_t>(steps.size())) {  // all of the same size: McNemar's test
    const std::int64_t gained = (reach + total) / 2;
    return mcnemar_p({.first_only = reach - gained, .second_only = gained});
  }
  constexpr double kMostWork = 2e8;  // beyond it the sum is as good as normal
  if (static_cast<double>(reach) * static_cast<double>(steps.size()) > kMostWork) {
    return std::erfc(std::abs(static_cast<double>(total)) / std::sqrt(2 * squares));
  }
  return sign_distribution_p(steps, total);
}

double mcnemar_p(const PairedCounts& counts) {
  const std::int64_t discordant = counts.first_only + counts.second_only;
  if (discordant == 0) return 1;
  const boost::math::binomial distribution(static_cast<double>(discordant), 0.5);
  const double fewer = static_cast<double>(std::min(counts.first_only, counts.second_only));
  return std::min(1.0, 2 * boost::math::cdf(distribution, fewer));
}

double sqnr_db(std::span<const float> reference, std::span<const float> value) {
  require(reference.size() == value.size(), "sqnr_db: both tensors have the same number of elements");
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i], e = r - static_cast<double>(value[i]);
    signal += r * r;
    noise += e * e;
  }
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

std::vector<double> class_iou(std::span<const std::int64_t> confusion, int classes) {
  const auto size = static_cast<std::size_t>(classes);
  require(confusion.size() == size * size, "class_iou: the confusion is classes x classes");
  std::vector<double> result(size, -1);
  for (std::size_t k = 0; k < size; ++k) {
    std::int64_t labelled = 0, predicted = 0;
    for (std::size_t i = 0; i < size; ++i) {
      labelled += confusion[k * size + i];
      predicted += confusion[i * size + k];
    }
    const std::int64_t both = confusion[k * size + k], either = labelled + predicted - both;
    if (labelled > 0) result[k] = static_cast<double>(both) / static_cast<double>(either);
  }
  return result;
}

double mean_iou(std::span<const std::int64_t> confusion, int classes) {
  double sum = 0;
  int present = 0;
  for (const double iou : class_iou(confusion, classes)) {
    if (iou < 0) continue;
    sum += iou;
    ++present;
  }
  return present == 0 ? 0 : sum / present;
}

double pixel_accuracy(std::span<const std::int64_t> confusion, int classes) {
  const auto size = static_cast<std::size_t>(classes);
  require(confusion.size() == size * size, "pixel_accuracy: the confusion is classes x classes");
  std::int64_t right = 0, total = 0;
  for (std::size_t k = 0; k < size; ++k) right += confusion[k * size + k];
  for (const std::int64_t count : confusion) total += count;
  return total == 0 ? 0 : static_cast<double>(right) / static_cast<double>(total);
}

Spread spread_of(std::span<const double> values) {
  require(!values.empty(), "spread_of: at least one value");
  Spread spread{.min = values[0], .max = values[0]};
  for (const double v : values) {
    spread.mean += v / static_cast<double>(values.size());
    spread.min = std::min(spread.min, v);
    spread.max = std::max(spread.max, v);
  }
  double squares = 0;
  for (const double v : values) squares += (v - spread.mean) * (v - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

}  // namespace binade
