// Depthwise float convolution: packing around the kernels.
#include "core/ops/depthwise_conv.hpp"

#include "core/base/error.hpp"

namespace binade {

DepthwiseConv::DepthwiseConv(const ConvGeometry& g)
    : shape_{.ih = g.ih,
             .iw = g.iw,
             .oh = g.oh,
             .ow = g.ow,
             .channels = g.ic,
             .kh = g.kh,
             .kw = g.kw,
             .stride_h = g.stride_h,
             .stride_w = g.stride_w,
             .pad_top = g.pad_top,
             .pad_left = g.pad_left,
             .dilation_h = g.dilation_h,
             .dilation_w = g.dilation_w},
      weights_(static_cast<std::size_t>(g.weight_count())) {
  require(g.is_depthwise(), "not a depthwise convolution");
}

void DepthwiseConv::pack(const float* w) {
  const int taps = shape_.kh * shape_.kw;
  for (int tap = 0; tap < taps; ++tap) {
    for (int c = 0; c < shape_.channels; ++c)
      weights_[static_cast<std::size_t>(tap * shape_.channels + c)] = w[c * taps + tap];
  }
}

void DepthwiseConv::forward(const float* x, const float* b, float* y, const simd::Epilogue& epilogue) const {
  simd::depthwise().forward(
      shape_,
      {.x = x, .w = weights_.data(), .b = b, .y = y, .epilogue = epilogue, .row_begin = 0, .row_end = shape_.oh});
}

void DepthwiseConv::backward_data(const float* dy, float* dx, bool fresh) const {
  simd::depthwise().backward_data(
      shape_, {.dy = dy, .w = weights_.data(), .dx = dx, .add = !fresh, .row_begin = 0, .row_end = shape_.ih});
}

void DepthwiseConv::backward_weights(int images, const float* x, const float* dy, float* dw) const {
  thread_local AlignedVector<float> sum;
  sum.assign(weights_.size(), 0.0F);
  const std::int64_t in = std::int64_t{shape_.ih} * shape_.iw * shape_.channels;
  const std::int64_t out = std::int64_t{shape_.oh} * shape_.ow * shape_.channels;
  for (int i = 0; i < images; ++i) {
    simd::depthwise().backward_weights(shape_, {.x = x + i * in, .dy = dy + i * out, .dw = sum.data()});
  }
  const int taps = shape_.kh * shape_.kw;
  for (int c = 0; c < shape_.channels; ++c) {
    for (int tap = 0; tap < taps; ++tap) dw[c * taps + tap] = sum[static_cast<std::size_t>(tap * shape_.channels + c)];
  }
}

}  // namespace binade
