// Forward convolution in float of one geometry: the fastest kernel for it, with what follows done on the way.
#pragma once

#include <optional>

#include "core/base/tensor.hpp"
#include "core/ops/conv_geometry.hpp"
#include "core/ops/depthwise_conv.hpp"
#include "core/ops/onednn_conv.hpp"
#include "core/ops/simd/pointwise.hpp"

namespace binade {

/// Own kernels for depthwise and 1x1 convolutions, oneDNN for the others. `pack` is called by one thread; `forward` may
/// run on many threads at once. The bits of a sum do not depend on the epilogue, and the epilogue's are those of the
/// ops it stands for.
class FloatConv {
 public:
  explicit FloatConv(const ConvGeometry& g);

  static bool supports(const ConvGeometry& g) { return g.is_depthwise() || OnednnConv::supports(g); }

  /// w {oc, kh, kw, ic / groups}
  void pack(const float* w);
  /// For backward_data instead of forward, of a 1x1 convolution: {ic, oc} of w {oc, ic}.
  void pack_transposed(const float* w);
  /// One image, packed transposed: dx += gradient; with `fresh`, dx = gradient.
  void backward_data(const float* dy, float* dx, bool fresh) const;
  /// One image. b may be null; y is overwritten.
  void forward(const float* x, const float* b, float* y, const simd::Epilogue& epilogue) const;

 private:
  ConvGeometry geometry_;
  std::optional<DepthwiseConv> depthwise_;
  std::optional<OnednnConv> onednn_;
  AlignedVector<float> pointwise_;  // packed weights
};

}  // namespace binade
