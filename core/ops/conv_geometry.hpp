// What every convolution kernel needs to know about one image: extents, window, groups.
#pragma once

#include <cstdint>

#include "core/ops/ops.hpp"

namespace binade {

/// One image of a convolution: x {ih, iw, ic} -> y {oh, ow, oc}. Output pixel (oy, ox) sees the input rows
/// oy * stride_h - pad_top + i * dilation_h. Only the top and left pads enter the arithmetic; oh and ow are given.
struct ConvGeometry {
  int ih = 1, iw = 1, ic = 1;
  int oh = 1, ow = 1, oc = 1;
  int kh = 1, kw = 1;
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int dilation_h = 1, dilation_w = 1;
  int groups = 1;

  int group_ic() const { return ic / groups; }
  int group_oc() const { return oc / groups; }
  int taps() const { return kh * kw; }
  bool is_depthwise() const { return groups > 1 && groups == ic && groups == oc; }
  /// A matrix product over pixels: the image itself is the matrix.
  bool is_pointwise() const {
    return kh == 1 && kw == 1 && stride_h == 1 && stride_w == 1 && groups == 1 && pad_top == 0 && pad_left == 0 &&
           ih == oh && iw == ow;
  }
  std::int64_t in_count() const { return std::int64_t{ih} * iw * ic; }
  std::int64_t out_count() const { return std::int64_t{oh} * ow * oc; }
  std::int64_t weight_count() const { return std::int64_t{oc} * kh * kw * group_ic(); }
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

/// Of an image of shape x (its batch does not matter), kernel w and result y.
ConvGeometry conv_geometry(const Conv2d& op, const Shape& x, const Shape& w, const Shape& y);

}  // namespace binade
