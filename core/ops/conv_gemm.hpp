// Convolution of any geometry in float or double: im2col and a matrix product, or plain loops where it is depthwise.
//
// The oracle in double; in float the way out for geometries that no fast kernel takes.
#pragma once

#include "core/ops/conv_geometry.hpp"

namespace binade::gemm {

/// One image. b may be null. w is OHWI, {oc, kh, kw, ic / groups}.
template <class T>
void forward(const ConvGeometry& g, const T* x, const T* w, const T* b, T* y);

/// dx += the gradient with respect to x.
template <class T>
void backward_data(const ConvGeometry& g, const T* dy, const T* w, T* dx);

/// dw += the gradient with respect to w.
template <class T>
void backward_weights(const ConvGeometry& g, const T* x, const T* dy, T* dw);

}  // namespace binade::gemm
