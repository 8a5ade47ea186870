// Forward convolution in float: kernel choice and packing.
#include "core/ops/float_conv.hpp"

#include "core/base/error.hpp"

namespace binade {
namespace {

/// {ceil(channels / width), depth, width} of w, in which channels and depth advance by the given strides.
void pack_pointwise(const float* w, int channels, int depth, std::int64_t channel_stride, std::int64_t depth_stride,
                    AlignedVector<float>& packed) {
  const int width = simd::pointwise().width;
  const int panels = (channels + width - 1) / width;
  packed.assign(static_cast<std::size_t>(panels) * static_cast<std::size_t>(depth * width), 0.0F);
  for (int c = 0; c < channels; ++c) {
    float* panel = packed.data() + std::int64_t{c / width} * depth * width + c % width;
    for (int k = 0; k < depth; ++k) panel[std::int64_t{k} * width] = w[c * channel_stride + k * depth_stride];
  }
}

}  // namespace

FloatConv::FloatConv(const ConvGeometry& g) : geometry_(g) {
  if (g.is_depthwise()) {
    depthwise_.emplace(g);
  } else if (!g.is_pointwise()) {
    onednn_.emplace(g);
  }
}

void FloatConv::pack(const float* w) {
  if (depthwise_) {
    depthwise_->pack(w);
  } else if (onednn_) {
    onednn_->pack_forward(w);
  } else {
    pack_pointwise(w, geometry_.oc, geometry_.ic, geometry_.ic, 1, pointwise_);
  }
}

void FloatConv::pack_transposed(const float* w) {
  require(geometry_.is_pointwise(), "only a 1x1 convolution is its own gradient, transposed");
  pack_pointwise(w, geometry_.ic, geometry_.oc, 1, geometry_.ic, pointwise_);
}

void FloatConv::backward_data(const float* dy, float* dx, bool fresh) const {
  simd::pointwise().run({.x = dy,
                         .w = pointwise_.data(),
                         .b = nullptr,
                         .y = dx,
                         .pixels = std::int64_t{geometry_.oh} * geometry_.ow,
                         .depth = geometry_.oc,
                         .channels = geometry_.ic,
                         .epilogue = {.residual = fresh ? nullptr : dx}});
}

void FloatConv::forward(const float* x, const float* b, float* y, const simd::Epilogue& epilogue) const {
  if (depthwise_) return depthwise_->forward(x, b, y, epilogue);
  if (onednn_) {
    onednn_->forward(x, b, y);
    if (epilogue.does_something()) simd::pointwise().sweep(y, y, geometry_.out_count(), epilogue);
    return;
  }
  simd::pointwise().run({.x = x,
                         .w = pointwise_.data(),
                         .b = b,
                         .y = y,
                         .pixels = std::int64_t{geometry_.oh} * geometry_.ow,
                         .depth = geometry_.ic,
                         .channels = geometry_.oc,
                         .epilogue = epilogue});
}

}  // namespace binade
