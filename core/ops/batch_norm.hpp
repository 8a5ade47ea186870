// Batch norm in parts, for those who see a batch in parts; and with the clamp after it in one sweep each way: what the
// executor makes of BatchNorm and Relu or Clip.
#pragma once

#include <span>
#include <vector>

#include "core/ops/clamp.hpp"

namespace binade {

/// Per channel: the mean over pixels, and the sum of squares about it.
struct ChannelMoments {
  double pixels = 0;
  std::vector<double> mean, squares;
  /// The moments of both sets of pixels together. @source Chan et al. 1979
  void add(const ChannelMoments& more);
};

/// In two passes, both with sums in double.
template <class T>
ChannelMoments moments_of(View<const T> x);

/// y = clamp(gamma * (x - mean) / deviation + beta), and its backward, on any part of the batch.
template <class T>
class Normalizer {
 public:
  /// With statistics that do not depend on the batch.
  void set(const BatchNorm& op, View<const T> gamma, View<const T> beta, std::vector<double> mean,
           const std::vector<double>& variance);
  /// With the statistics of a batch, which also update `updated`: the running mean and variance, or nothing.
  /// @throws DataError for a single pixel
  void set(const BatchNorm& op, View<const T> gamma, View<const T> beta, const ChannelMoments& batch,
           std::span<const View<T>> updated);
  void apply(View<const T> x, T* y, Limits<T> limits) const;

  /// Sums of g, then of g * (x - mean), by channel; g is what of dy passes the clamp. Parts of a batch add up.
  std::vector<double> gradient_sums(View<const T> x, const T* dy, Limits<T> limits) const;
  /// From the sums over all `pixels` of the batch; adds to the gradients of gamma and beta unless null.
  void set_gradient(const BatchNorm& op, View<const T> gamma, const std::vector<double>& sums, double pixels, T* dgamma,
                    T* dbeta);
  /// dx, added with `add`. @pre set_gradient
  void gradient(View<const T> x, const T* dy, Limits<T> limits, T* dx, bool add) const;

 private:
  std::vector<double> mean_, inverse_deviation_;
  std::vector<T> scale_, shift_;                      ///< y = scale * x + shift
  std::vector<T> by_gradient_, by_value_, constant_;  ///< dx = by_gradient * g + (by_value * x + constant)
};

/// The op's forward, the clamp applied to what it writes. Without limits it is the op's own.
template <class T>
void batch_norm_forward(const BatchNorm& op, const Forward<T>& f, Limits<T> limits);

/// From the gradient of the clamped result to the gradients of x, gamma and beta; b.out is not read.
template <class T>
void batch_norm_backward(const BatchNorm& op, const Backward<T>& b, Limits<T> limits);

}  // namespace binade
