// Batch norm with the clamp behind it, in one sweep each way: what the executor makes of BatchNorm and Relu or Clip.
#pragma once

#include <limits>

#include "core/ops/ops.hpp"

namespace binade {

/// min(max(y, lo), hi); the gradient passes where lo < y < hi. The default clamps nothing.
template <class T>
struct Limits {
  T lo = -std::numeric_limits<T>::infinity(), hi = std::numeric_limits<T>::infinity();
};

/// The op's forward, the clamp applied to what it writes. Without limits it is the op's own.
template <class T>
void batch_norm_forward(const BatchNorm& op, const Forward<T>& f, Limits<T> limits);

/// From the gradient of the clamped result to that of x, gamma and beta; b.out is not read.
template <class T>
void batch_norm_backward(const BatchNorm& op, const Backward<T>& b, Limits<T> limits);

}  // namespace binade
