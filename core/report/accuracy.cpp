// Rows of the accuracy table from per-image predictions.
#include "core/report/accuracy.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/report/bootstrap.hpp"
#include "core/report/units.hpp"

namespace binade {
namespace {

using Pairs = std::vector<std::pair<int, int>>;

Interval in_points(Interval interval) {
  return {100 * interval.lo, 100 * interval.hi};
}

std::vector<std::int64_t> total_confusion(const Predictions& predictions) {
  const auto size = static_cast<std::size_t>(predictions.classes) * static_cast<std::size_t>(predictions.classes);
  std::vector<std::int64_t> total(size);
  for (std::size_t i = 0; i < predictions.confusion.size(); ++i) total[i % size] += predictions.confusion[i];
  return total;
}

/// The confusions of chosen images, one after the other.
std::vector<std::int64_t> chosen_confusions(const Predictions& predictions, const std::vector<int>& images) {
  const auto size = static_cast<std::ptrdiff_t>(predictions.classes) * predictions.classes;
  std::vector<std::int64_t> chosen;
  for (const int image : images) {
    const auto first = predictions.confusion.begin() + image * size;
    chosen.insert(chosen.end(), first, first + size);
  }
  return chosen;
}

double sqnr_of_pairs(const Predictions& reference, const Predictions& predictions, const Pairs& pairs) {
  const auto classes = static_cast<std::size_t>(predictions.classes);
  std::vector<float> expected, found;
  expected.reserve(pairs.size() * classes);
  found.reserve(pairs.size() * classes);
  for (const auto& [r, p] : pairs) {
    const auto e = reference.logits.view().images(r, 1).span(), f = predictions.logits.view().images(p, 1).span();
    expected.insert(expected.end(), e.begin(), e.end());
    found.insert(found.end(), f.begin(), f.end());
  }
  return sqnr_db(expected, found);
}

/// Of two sets of tied top classes: what they share, as part of the larger one.
double shared_part(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  std::vector<std::int32_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(std::max(a.size(), b.size()));
}

void compare_classification(const Predictions& predictions, const Predictions& reference, const Pairs& pairs,
                            AccuracyRow& row) {
  // One difference per distinct image, the mean over its copies.
  std::vector<std::string> contents;
  for (const auto& [r, p] : pairs) contents.push_back(predictions.content(p));
  const Copies copies = copies_of(contents);
  std::vector<double> differences(copies.count.size());
  double same = 0;
  std::size_t pair = 0;
  for (const auto& [r, p] : pairs) {
    const auto at_r = static_cast<std::size_t>(r), at_p = static_cast<std::size_t>(p);
    if (reference.labels[at_r] != predictions.labels[at_p]) {
      throw DataError(
          fmt::format("image '{}' has label {} in column '{}' and {} in '{}': the columns were evaluated "
                      "with other labels and cannot be paired",
                      predictions.images[at_p], reference.labels[at_r], reference.method, predictions.labels[at_p],
                      predictions.method));
    }
    const auto of = static_cast<std::size_t>(copies.content[pair++]);
    differences[of] += (predictions.credit(p, 1) - reference.credit(r, 1)) / copies.count[of];
    same += shared_part(reference.top_classes(r), predictions.top_classes(p));
  }
  const auto count = static_cast<double>(pairs.size());
  row.delta = 100 * std::inner_product(differences.begin(), differences.end(), copies.count.begin(), 0.0) / count;
  row.delta_interval = in_points(paired_interval(differences, kConfidence, copies.count));
  row.p_value = sign_flip_p(differences);
  row.agreement = 100 * same / count;
  if (reference.logits.count() > 0 && predictions.logits.count() > 0) {
    row.sqnr_db = sqnr_of_pairs(reference, predictions, pairs);
  }
}

/// Percent of the pixels with the same class; nothing if a run kept no maps, or at another resolution.
std::optional<double> pixel_agreement(const Predictions& reference, const Predictions& predictions,
                                      const Pairs& pairs) {
  if (reference.maps.empty() || predictions.maps.empty()) return {};
  std::int64_t same = 0, total = 0;
  for (const auto& [r, p] : pairs) {
    const auto first = reference.maps[static_cast<std::size_t>(r)].span(),
               second = predictions.maps[static_cast<std::size_t>(p)].span();
    if (first.size() != second.size()) return {};
    for (std::size_t i = 0; i < first.size(); ++i) same += first[i] == second[i] ? 1 : 0;
    total += static_cast<std::int64_t>(first.size());
  }
  return 100 * static_cast<double>(same) / static_cast<double>(total);
}

void compare_segmentation(const Predictions& predictions, const Predictions& reference, const Pairs& pairs, int block,
                          AccuracyRow& row) {
  std::vector<int> of_reference, of_predictions;
  std::vector<std::string> images, contents;
  for (const auto& [r, p] : pairs) {
    of_reference.push_back(r);
    of_predictions.push_back(p);
    images.push_back(predictions.images[static_cast<std::size_t>(p)]);
    contents.push_back(predictions.content(p));
  }
  const auto first = chosen_confusions(reference, of_reference),
             second = chosen_confusions(predictions, of_predictions);
  const auto size = static_cast<std::size_t>(predictions.classes) * static_cast<std::size_t>(predictions.classes);
  std::vector<std::int64_t> sum_first(size), sum_second(size);
  for (std::size_t i = 0; i < first.size(); ++i) {
    sum_first[i % size] += first[i];
    sum_second[i % size] += second[i];
  }
  row.delta = 100 * (mean_iou(sum_second, predictions.classes) - mean_iou(sum_first, predictions.classes));
  const Units units = bootstrap_units(images, contents, block);
  row.delta_interval = in_points(bootstrap_mean_iou({first, second, predictions.classes, units.unit, units.in_order}));
  row.agreement = pixel_agreement(reference, predictions, pairs);
}

}  // namespace

Pairs matching_images(const Predictions& a, const Predictions& b) {
  std::map<std::string, std::vector<int>> places;  // of each content in b, last first
  for (int i = b.count(); i-- > 0;) places[b.hashes[static_cast<std::size_t>(i)]].push_back(i);
  Pairs pairs;
  for (int i = 0; i < a.count(); ++i) {
    const auto found = places.find(a.hashes[static_cast<std::size_t>(i)]);
    if (found == places.end() || found->second.empty()) continue;
    pairs.emplace_back(i, found->second.back());
    found->second.pop_back();
  }
  return pairs;
}

AccuracyRow accuracy_row(const Predictions& predictions, const Predictions* reference, int block) {
  AccuracyRow row;
  row.method = predictions.method;
  row.n = predictions.count();
  row.seconds = predictions.seconds;
  row.segmentation = !predictions.confusion.empty();
  if (row.n == 0) throw DataError("column '" + row.method + "' holds no image: nothing to summarise");

  std::vector<std::string> contents;
  for (int i = 0; i < row.n; ++i) contents.push_back(predictions.content(i));
  const Copies copies = copies_of(contents);
  row.distinct = static_cast<int>(copies.count.size());
  if (row.segmentation) {
    const std::vector<std::int64_t> total = total_confusion(predictions);
    row.accuracy = 100 * mean_iou(total, predictions.classes);
    row.pixel_accuracy = 100 * pixel_accuracy(total, predictions.classes);
    for (const double iou : class_iou(total, predictions.classes)) row.class_iou.push_back(iou < 0 ? -1 : 100 * iou);
    const Units units = bootstrap_units(predictions.images, contents, block);
    row.units = units.count;
    row.interval =
        in_points(bootstrap_mean_iou({{}, predictions.confusion, predictions.classes, units.unit, units.in_order}));
  } else {
    double best = 0, among_best = 0;
    int lowest = 0;
    for (int i = 0; i < row.n; ++i) {
      best += predictions.credit(i, 1);
      among_best += predictions.credit(i, Predictions::kBest);
      lowest += predictions.top1_is_right(i) ? 1 : 0;
      row.ties += predictions.top_classes(i).size() > 1 ? 1 : 0;
    }
    row.accuracy = 100 * best / row.n;
    row.lowest = 100.0 * lowest / row.n;
    if (predictions.classes > Predictions::kBest) row.top5 = 100 * among_best / row.n;
    const double images = effective_images(copies.count);
    row.interval = in_points(wilson_interval(std::min(images, best / row.n * images), images));
  }
  if (reference == nullptr) return row;

  if (reference->classes != predictions.classes || reference->confusion.empty() == row.segmentation) {
    throw DataError(fmt::format("columns '{}' ({} classes) and '{}' ({} classes) are of different tasks",
                                reference->method, reference->classes, predictions.method, predictions.classes));
  }
  const Pairs pairs = matching_images(*reference, predictions);
  if (pairs.empty()) {
    throw DataError(fmt::format("columns '{}' and '{}' share no image: only runs on the same images can be paired",
                                reference->method, predictions.method));
  }
  if (row.segmentation) {
    compare_segmentation(predictions, *reference, pairs, block, row);
  } else {
    compare_classification(predictions, *reference, pairs, row);
  }
  return row;
}

}  // namespace binade
