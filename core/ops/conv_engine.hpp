// Convolution over a batch: picks the kernel for the geometry, cuts the batch into chunks, reduces in a fixed order.
#pragma once

#include <memory>

#include "core/ops/conv_geometry.hpp"

namespace binade {

/// What a convolution node keeps between calls. Chunks depend on the batch alone, so any number of threads gives the
/// same bits. `version` is Forward::parameter_version; 0 means that weights may have changed unnoticed.
template <class T>
class ConvEngine {
 public:
  ConvEngine();
  ~ConvEngine();

  /// y = convolution of x, plus b unless null.
  void forward(const ConvGeometry& g, int images, const T* x, const T* w, const T* b, T* y, std::uint64_t version);
  /// dx += gradient; with `fresh`, dx = gradient.
  void backward_data(const ConvGeometry& g, int images, const T* dy, const T* w, T* dx, std::uint64_t version,
                     bool fresh = false);
  /// dw += gradient.
  void backward_weights(const ConvGeometry& g, int images, const T* x, const T* dy, T* dw);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// db[c] += sum over `pixels` of dy[., c].
template <class T>
void add_channel_sums(std::int64_t pixels, int channels, const T* dy, T* db);

/// Throws DataError unless the window, strides, pads and groups of the op named `op` make sense.
struct ConvWindow {
  int stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w, groups;
};
void check_window(const char* op, const ConvWindow& window);

}  // namespace binade
