// What is counted on a network's outputs: best classes, accuracies, the confusion matrix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/report/predictions.hpp"

namespace binade {

/// Writes the `best.size()` classes of the largest values, largest first; of equal ones the lowest class first; -1
/// after the last class when there are fewer. Values must not be NaN.
void best_classes(std::span<const float> values, std::span<std::int32_t> best);

/// In percent of the images.
struct Accuracy {
  double top1 = 0, top5 = 0;
};
Accuracy accuracy(const Predictions& predictions);

/// Counts of (label, predicted) over images or pixels.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes)
      : classes_(classes), counts_(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes)) {}

  int classes() const { return classes_; }
  /// @throws ContractError for a class that does not exist
  void add(int label, int predicted, std::int64_t times = 1);
  std::int64_t count(int label, int predicted) const;
  /// The counts, [label][predicted].
  std::span<const std::int64_t> counts() const { return counts_; }

  /// Percent on the diagonal; 0 for an empty matrix.
  double accuracy() const;
  /// Percent: true / (true + false positives + false negatives); -1 if the class is never a label.
  double iou(int label) const;
  /// Mean over the classes that occur as labels.
  double mean_iou() const;

 private:
  int classes_;
  std::vector<std::int64_t> counts_;
};

/// Of a classification's images, or of a segmentation's pixels.
ConfusionMatrix confusion(const Predictions& predictions);

/// The one number of a run, in percent: top-1, or the mIoU of a segmentation.
double headline(const Predictions& predictions);

}  // namespace binade
