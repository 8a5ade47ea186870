// Dense and grouped float convolution on oneDNN, one image per call on the calling thread.
#pragma once

#include <memory>

#include "core/ops/conv_geometry.hpp"

namespace binade {

/// Prepared primitives and packed weights of one geometry. `pack_*` are called by one thread; the others may run on
/// many threads at once, each with images of its own. All tensors are NHWC and OHWI.
class OnednnConv {
 public:
  explicit OnednnConv(const ConvGeometry& g);
  ~OnednnConv();
  OnednnConv(OnednnConv&&) noexcept;
  OnednnConv& operator=(OnednnConv&&) noexcept;

  /// Whether oneDNN takes the geometry: its output extents must be the ones that the pads imply.
  static bool supports(const ConvGeometry& g);

  void pack_forward(const float* w);
  /// y is overwritten; b may be null.
  void forward(const float* x, const float* b, float* y) const;

  void pack_backward_data(const float* w);
  /// dx += gradient; with `fresh`, dx = gradient.
  void backward_data(const float* dy, float* dx, bool fresh) const;

  /// Prepares backward_weights for chunks of that many images.
  void prepare_backward_weights(int images);
  /// dw = the gradient over `images` images, which must have been prepared.
  void backward_weights(int images, const float* x, const float* dy, float* dw) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace binade
