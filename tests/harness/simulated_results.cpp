// Simulated scores and street scenes.
#include "tests/harness/simulated_results.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/report/bootstrap.hpp"
#include "core/report/statistics.hpp"
#include "core/report/units.hpp"

namespace binade {
namespace {

using Trial = std::function<Interval(Random&)>;

Coverage coverage_of(const std::string& name, int trials, double truth, const Trial& trial) {
  std::vector<Interval> found(static_cast<std::size_t>(trials));
  parallel_for(trials, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      Random random(1000, static_cast<std::uint64_t>(t));
      found[static_cast<std::size_t>(t)] = trial(random);
    }
  });
  Coverage coverage{.interval = name};
  for (const Interval& interval : found) {
    coverage.covered += interval.contains(truth) ? 1.0 / trials : 0;
    coverage.width += 100 * (interval.hi - interval.lo) / trials;
  }
  return coverage;
}

/// A credit with probability `right` of 1 and `tied` of a half.
double credit(Random& random, double right, double tied) {
  const double u = random.uniform();
  return u < right ? 1 : u < right + tied ? 0.5 : 0;
}

constexpr int kClasses = 5;
using Confusion = std::array<std::int64_t, kClasses * kClasses>;

/// One street: how much of each class is there and how well each is found differ from image to image, the rare class is
/// in a third of them. `scene` and `quality`, standard normal, are shared by neighbouring frames.
Confusion street(Random& random, double scene, double quality, double skill) {
  Confusion confusion{};
  for (std::size_t label = 0; label < kClasses; ++label) {
    const bool there = label + 1 < kClasses || random.uniform() < 1.0 / 3;
    if (!there) continue;
    const double pixels = 4000 / static_cast<double>(label + 1) * std::exp(0.5 * scene + 0.4 * random.normal());
    const double logit = skill - 0.3 * static_cast<double>(label) + 0.7 * quality + 0.7 * random.normal();
    const auto all = static_cast<std::int64_t>(pixels);
    const auto right = static_cast<std::int64_t>(pixels / (1 + std::exp(-logit)));
    confusion[label * kClasses + label] += right;
    confusion[label * kClasses + (label + 1) % kClasses] += all - right;
  }
  return confusion;
}

struct Streets {
  std::vector<std::int64_t> first, second;
  std::vector<std::string> names;
};

/// n frames; each remembers part `memory` of the one before it. The second method sees the same scene with its own
/// luck.
Streets streets(Random& random, int n, double memory) {
  Streets streets;
  double scene = random.normal(), quality = random.normal();
  const double fresh = std::sqrt(1 - memory * memory);
  for (int i = 0; i < n; ++i) {
    scene = memory * scene + fresh * random.normal();
    quality = memory * quality + fresh * random.normal();
    Random of_first = random;
    const Confusion first = street(of_first, scene, quality, 2.0);
    Random of_second = random;
    const Confusion second = street(of_second, scene, quality + 0.1 * random.normal(), 1.9);
    random = of_second;
    streets.first.insert(streets.first.end(), first.begin(), first.end());
    streets.second.insert(streets.second.end(), second.begin(), second.end());
    streets.names.push_back(fmt::format("seq_{:06d}.png", i));
  }
  return streets;
}

/// The true values: of so many images that chance is no matter.
std::array<double, 2> truth_of_streets() {
  std::array<std::int64_t, kClasses * kClasses> first{}, second{};
  for (std::uint64_t part = 0; part < 100; ++part) {
    Random random(77, part);
    const Streets many = streets(random, 3000, 0);
    for (std::size_t i = 0; i < many.first.size(); ++i) {
      first[i % first.size()] += many.first[i];
      second[i % second.size()] += many.second[i];
    }
  }
  const double level = mean_iou(second, kClasses);
  return {level, level - mean_iou(first, kClasses)};
}

void simulate_classification(int trials, std::vector<Coverage>& results) {
  for (const double tied : {0.0, 0.04}) {
    for (const int n : {100, 650}) {
      results.push_back(coverage_of(fmt::format("top-1, {:g} % tied, n = {}", 100 * tied, n), trials, 0.7 + tied / 2,
                                    [=](Random& random) {
                                      double sum = 0;
                                      for (int i = 0; i < n; ++i) sum += credit(random, 0.7, tied);
                                      return wilson_interval(sum, n);
                                    }));
      // Of five images four keep what they were.
      results.push_back(coverage_of(fmt::format("difference of top-1, {:g} % tied, n = {}", 100 * tied, n), trials,
                                    0.2 * (0.6 - 0.75) + tied * (0.5 - 0.9), [=](Random& random) {
                                      std::vector<double> differences;
                                      for (int i = 0; i < n; ++i) {
                                        const double u = random.uniform();
                                        double d = 0;
                                        if (u < 0.2) {
                                          d = credit(random, 0.6, 0) - credit(random, 0.75, 0);
                                        } else if (u < 0.2 + tied) {
                                          d = 0.5 - credit(random, 0.9, 0);
                                        }
                                        differences.push_back(d);
                                      }
                                      return paired_interval(differences);
                                    }));
    }
  }
}

void simulate_segmentation(int trials, int resamples, std::vector<Coverage>& results) {
  const std::array<double, 2> truth = truth_of_streets();
  for (const int n : {50, 100, 233}) {
    for (const bool video : {false, true}) {
      // Gives frames' own mIoU a lag-1 autocorrelation of about 0.42, that of CamVid's.
      const double memory = video ? 0.55 : 0;
      const int block = video ? 0 : 1;
      const std::string what = video ? "frames of a video" : "independent images";
      const auto trial = [=](bool paired) {
        return [=](Random& random) {
          const Streets sample = streets(random, n, memory);
          const Units units = bootstrap_units(sample.names, sample.names, block);
          ConfusionPair pair{.first = {},
                             .second = sample.second,
                             .classes = kClasses,
                             .units = units.unit,
                             .in_order = units.in_order};
          if (paired) pair.first = sample.first;
          return bootstrap_mean_iou(pair, resamples, random.next());
        };
      };
      results.push_back(coverage_of(fmt::format("mIoU, {}, n = {}", what, n), trials, truth[0], trial(false)));
      results.push_back(
          coverage_of(fmt::format("difference of mIoU, {}, n = {}", what, n), trials, truth[1], trial(true)));
    }
  }
}

}  // namespace

std::vector<Coverage> simulate_coverage(int trials, int resamples) {
  std::vector<Coverage> results;
  simulate_classification(trials, results);
  simulate_segmentation(trials, resamples, results);
  return results;
}

}  // namespace binade
