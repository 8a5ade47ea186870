// Counting on a network's outputs.
#include "datasets/metrics.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/report/statistics.hpp"

namespace binade {

void best_classes(std::span<const float> values, std::span<std::int32_t> best) {
  std::size_t found = 0;
  for (std::size_t c = 0; c < values.size(); ++c) {
    // Classes come in ascending order, so a later equal value never passes an earlier one.
    std::size_t place = found;
    while (place > 0 && values[c] > values[static_cast<std::size_t>(best[place - 1])]) --place;
    if (place == best.size()) continue;
    found = std::min(found + 1, best.size());
    for (std::size_t k = found - 1; k > place; --k) best[k] = best[k - 1];
    best[place] = static_cast<std::int32_t>(c);
  }
  std::fill(best.begin() + static_cast<std::ptrdiff_t>(found), best.end(), -1);
}

Accuracy accuracy(const Predictions& predictions) {
  const int n = predictions.count();
  int top1 = 0, top5 = 0;
  for (int i = 0; i < n; ++i) {
    top1 += predictions.top1_is_right(i) ? 1 : 0;
    top5 += predictions.top5_is_right(i) ? 1 : 0;
  }
  return n == 0 ? Accuracy{} : Accuracy{100.0 * top1 / n, 100.0 * top5 / n};
}

void ConfusionMatrix::add(int label, int predicted, std::int64_t times) {
  require(label >= 0 && label < classes_ && predicted >= 0 && predicted < classes_, "ConfusionMatrix: no such class");
  counts_[static_cast<std::size_t>(label) * static_cast<std::size_t>(classes_) + static_cast<std::size_t>(predicted)] +=
      times;
}

std::int64_t ConfusionMatrix::count(int label, int predicted) const {
  require(label >= 0 && label < classes_ && predicted >= 0 && predicted < classes_, "ConfusionMatrix: no such class");
  return counts_[static_cast<std::size_t>(label) * static_cast<std::size_t>(classes_) +
                 static_cast<std::size_t>(predicted)];
}

double ConfusionMatrix::accuracy() const {
  return 100 * pixel_accuracy(counts_, classes_);
}

double ConfusionMatrix::iou(int label) const {
  require(label >= 0 && label < classes_, "ConfusionMatrix: no such class");
  const double iou = class_iou(counts_, classes_)[static_cast<std::size_t>(label)];
  return iou < 0 ? -1 : 100 * iou;
}

double ConfusionMatrix::mean_iou() const {
  return 100 * binade::mean_iou(counts_, classes_);
}

ConfusionMatrix confusion(const Predictions& predictions) {
  ConfusionMatrix matrix(predictions.classes);
  for (std::size_t i = 0; i < predictions.labels.size(); ++i) matrix.add(predictions.labels[i], predictions.top1[i]);
  const auto size = static_cast<std::size_t>(predictions.classes) * static_cast<std::size_t>(predictions.classes);
  for (std::size_t i = 0; i < predictions.confusion.size(); ++i) {
    const std::size_t cell = i % size;
    const auto classes = static_cast<std::size_t>(predictions.classes);
    matrix.add(static_cast<int>(cell / classes), static_cast<int>(cell % classes), predictions.confusion[i]);
  }
  return matrix;
}

double headline(const Predictions& predictions) {
  return predictions.confusion.empty() ? accuracy(predictions).top1 : confusion(predictions).mean_iou();
}

}  // namespace binade
