// The studentised bootstrap of the mean IoU: counts by unit and class, linearised standard errors, quantiles.
#include "core/report/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <boost/math/distributions/students_t.hpp>

#include "core/base/error.hpp"
#include "core/base/random.hpp"

namespace binade {
namespace {

/// What one method said: intersections and unions, units x classes. Classes that are never a label are left out.
struct Counts {
  std::vector<double> intersection, either;
};

struct Sample {
  std::size_t units = 0, classes = 0;
  std::vector<double> labelled;  ///< pixels of each label, units x classes
  Counts first, second;
  bool paired = false;
};

struct Estimate {
  double value = 0, error = 0;
  /// Of units in their order: how much larger the error is when neighbours are alike; 1 for units drawn at random.
  double neighbours = 1;
};

void add(std::span<const std::int64_t> confusion, std::size_t classes, double* intersection, double* either,
         double* labelled) {
  for (std::size_t label = 0; label < classes; ++label) {
    for (std::size_t found = 0; found < classes; ++found) {
      const auto pixels = static_cast<double>(confusion[label * classes + found]);
      either[label] += pixels;
      if (found != label) either[found] += pixels;
      if (found == label) intersection[label] += pixels;
      if (labelled != nullptr) labelled[label] += pixels;
    }
  }
}

Sample sample_of(const ConfusionPair& pair, std::size_t images) {
  const auto classes = static_cast<std::size_t>(pair.classes);
  const std::size_t size = classes * classes;
  Sample sample;
  sample.classes = classes;
  sample.paired = !pair.first.empty();
  sample.units = pair.units.empty()
                     ? images
                     : static_cast<std::size_t>(*std::max_element(pair.units.begin(), pair.units.end())) + 1;
  const std::size_t cells = sample.units * classes;
  sample.labelled.resize(cells);
  for (Counts* counts : {&sample.first, &sample.second}) {
    counts->intersection.resize(cells);
    counts->either.resize(cells);
  }
  for (std::size_t i = 0; i < images; ++i) {
    const std::size_t at = (pair.units.empty() ? i : static_cast<std::size_t>(pair.units[i])) * classes;
    add(pair.second.subspan(i * size, size), classes, &sample.second.intersection[at], &sample.second.either[at],
        &sample.labelled[at]);
    if (sample.paired) {
      add(pair.first.subspan(i * size, size), classes, &sample.first.intersection[at], &sample.first.either[at],
          nullptr);
    }
  }
  return sample;
}

/// Sums over drawn units, in the memory of the caller.
struct Sums {
  std::vector<double> labelled, first_intersection, first_either, second_intersection, second_either;
};

void add_rows(const std::vector<double>& rows, std::span<const std::size_t> drawn, std::size_t classes,
              std::vector<double>& sum) {
  sum.assign(classes, 0);
  for (const std::size_t unit : drawn) {
    for (std::size_t k = 0; k < classes; ++k) sum[k] += rows[unit * classes + k];
  }
}

/// The statistic of the drawn units and its standard error.
Estimate estimate(const Sample& sample, std::span<const std::size_t> drawn, Sums& sums) {
  const std::size_t classes = sample.classes;
  add_rows(sample.labelled, drawn, classes, sums.labelled);
  add_rows(sample.second.intersection, drawn, classes, sums.second_intersection);
  add_rows(sample.second.either, drawn, classes, sums.second_either);
  if (sample.paired) {
    add_rows(sample.first.intersection, drawn, classes, sums.first_intersection);
    add_rows(sample.first.either, drawn, classes, sums.first_either);
  }
  double present = 0, value = 0;
  for (std::size_t k = 0; k < classes; ++k) {
    if (sums.labelled[k] == 0) continue;
    ++present;
    value += sums.second_intersection[k] / sums.second_either[k];
    if (sample.paired) value -= sums.first_intersection[k] / sums.first_either[k];
  }
  if (present == 0) return {};
  double squares = 0, products = 0, before = 0;
  for (const std::size_t unit : drawn) {
    double influence = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      if (sums.labelled[k] == 0) continue;
      const std::size_t at = unit * classes + k;
      const auto part = [&](const Counts& counts, double intersection, double either) {
        return (counts.intersection[at] - intersection / either * counts.either[at]) / either;
      };
      influence += part(sample.second, sums.second_intersection[k], sums.second_either[k]);
      if (sample.paired) influence -= part(sample.first, sums.first_intersection[k], sums.first_either[k]);
    }
    squares += influence * influence;
    products += before * influence;
    before = influence;
  }
  const auto units = static_cast<double>(drawn.size());
  return {value / present, std::sqrt(squares * units / (units - 1)) / present,
          squares > 0 ? std::sqrt(1 + 2 * std::max(0.0, products / squares)) : 1};
}

}  // namespace

Interval bootstrap_mean_iou(const ConfusionPair& pair, int resamples, std::uint64_t seed, double confidence) {
  const auto size = static_cast<std::size_t>(pair.classes) * static_cast<std::size_t>(pair.classes);
  require(size > 0 && pair.second.size() % size == 0, "bootstrap_mean_iou: confusions are n x classes x classes");
  require(pair.first.empty() || pair.first.size() == pair.second.size(), "bootstrap_mean_iou: the same images in both");
  require(resamples > 1, "bootstrap_mean_iou: at least two resamples");
  const std::size_t images = pair.second.size() / size;
  require(pair.units.empty() || pair.units.size() == images, "bootstrap_mean_iou: a unit per image");
  const Interval widest{pair.first.empty() ? 0.0 : -1.0, 1};
  if (images == 0) return widest;
  const Sample sample = sample_of(pair, images);
  if (sample.units < 2) return widest;

  Sums sums;
  std::vector<std::size_t> drawn(sample.units);
  for (std::size_t u = 0; u < drawn.size(); ++u) drawn[u] = u;
  const Estimate whole = estimate(sample, drawn, sums);
  if (whole.error == 0) return {whole.value, whole.value};  // every unit says the same
  std::vector<double> distances;
  for (std::size_t b = 0; b < static_cast<std::size_t>(resamples); ++b) {
    Random random(seed, b);
    for (std::size_t& unit : drawn) unit = static_cast<std::size_t>(random.below(sample.units));
    const Estimate again = estimate(sample, drawn, sums);
    // A resample of equal units has no error of its own: it is as far away as can be.
    const double away = again.value - whole.value;
    distances.push_back(again.error > 0 ? away / again.error
                        : away == 0     ? 0
                                        : std::copysign(std::numeric_limits<double>::max(), away));
  }
  std::sort(distances.begin(), distances.end());
  const auto at = [&](double quantile) {
    return distances[static_cast<std::size_t>(std::lround(quantile * static_cast<double>(distances.size() - 1)))];
  };
  const double student =
      boost::math::quantile(boost::math::students_t(static_cast<double>(sample.units - 1)), (1 + confidence) / 2);
  const double error = whole.error * (pair.in_order ? whole.neighbours : 1);
  return {std::max(widest.lo, whole.value - std::max(student, at((1 + confidence) / 2)) * error),
          std::min(widest.hi, whole.value - std::min(-student, at((1 - confidence) / 2)) * error)};
}

}  // namespace binade
