// Labelled, augmented batches, epoch by epoch: the view of a data set for training, without OpenCV.
#pragma once

#include "core/base/tensor.hpp"

namespace binade {

/// The input of one training step.
struct LabelledBatch {
  View<const float> images;  ///< n h w c, preprocessed
  View<const float> labels;  ///< class index as a number: {n, 1, 1, 1}, or {n, h, w, 1} for segmentation
};

/// A data set that is shuffled and augmented anew for every epoch. The choice, order and augmentation of the images
/// is a function of (the source's seed, epoch, batch size, position) alone, so that a run can be continued.
class TrainingSource {
 public:
  virtual ~TrainingSource() = default;
  /// Images per epoch.
  virtual int count() const = 0;
  /// The shape of one image: n = 1.
  virtual Shape shape() const = 0;
  /// Begins an epoch that will be read in batches of `batch`, at its `first_batch`-th batch.
  virtual void start_epoch(int epoch, int batch, int first_batch = 0) = 0;
  /// The next `batch` images, valid until the next call. Called count() / batch times per epoch (rounded down).
  virtual LabelledBatch next() = 0;
};

}  // namespace binade
