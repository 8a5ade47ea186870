// Preprocessed images by position: how the rooms that must not know OpenCV see a data set.
#pragma once

#include "core/base/tensor.hpp"

namespace binade {

/// A fixed, ordered list of input tensors. Random access, so that a pass may look at the same images again.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual int count() const = 0;
  /// Of one image: n = 1.
  virtual Shape shape() const = 0;
  /// Images [first, first + images), valid until the next call.
  virtual View<const float> images(int first, int images) = 0;
};

/// Images that are in memory already.
class TensorImages final : public ImageSource {
 public:
  explicit TensorImages(Tensor<float> tensor) : tensor_(std::move(tensor)) {}
  int count() const override { return tensor_.shape().n; }
  Shape shape() const override { return tensor_.shape().with_batch(1); }
  View<const float> images(int first, int images) override {
    return static_cast<const Tensor<float>&>(tensor_).view().images(first, images);
  }

 private:
  Tensor<float> tensor_;
};

}  // namespace binade
