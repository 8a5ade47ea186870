// Mean and deviation of each channel of a value over images and pixels, kept image by image.
#pragma once

#include <vector>

#include "core/base/tensor.hpp"

namespace binade {

struct Moments {
  std::vector<double> mean, deviation;  ///< by channel
};

/// Slots per image, so that threads may add different images at once and sums have one order.
class ChannelMeans {
 public:
  explicit ChannelMeans(int channels = 0) : channels_(channels) {}

  /// Makes room for the images [0, count).
  void reserve(int count);
  /// All images [first, first + count) were added.
  bool has(int first, int count) const;
  /// Adds the images of a view, whose first has the position `first`; they fit into the reserved room.
  void add(View<const float> view, int first);
  /// Over the images [first, first + count).
  Moments of(int first, int count) const;

 private:
  void add_image(View<const float> image, float* slot) const;

  int channels_;
  std::vector<float> slots_;  // by image: means, then variances within the image
  std::vector<char> known_;   // by image
};

}  // namespace binade
