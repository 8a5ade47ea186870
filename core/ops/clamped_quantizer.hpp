// A quantizer with the clamp before it, in one sweep each way: what the executor makes of Relu or Clip and
// FakeQuant or Tqt.
#pragma once

#include <cstdint>

#include "core/ops/clamp.hpp"

namespace binade {

template <class T>
class ClampedQuantizer {
 public:
  /// Grids whose limits are exact in float.
  static constexpr int kMostBits = 16;
  /// Whether it can do what these ops do: FakeQuant of up to kMostBits and Tqt, after Relu, Clip or, if null, nothing.
  static bool supports(const Op* clamp, const Op& quantizer);

  ClampedQuantizer(const Op* clamp, const FakeQuant& quantizer);
  /// `learned`: what Tqt reads. @throws DataError as Tqt::spec
  ClampedQuantizer(const Op* clamp, const Tqt& quantizer, double learned);
  /// @pre supports(clamp, quantizer)
  static ClampedQuantizer of(const Op* clamp, const Op& quantizer, double learned);

  /// y = the quantized, clamped x.
  void forward(const T* x, T* y, std::int64_t n) const;

  struct Way {
    const T *x, *y, *dy;
    std::int64_t n;
  };
  /// From the gradient of y to the gradient of x: written to dx, which may be dy or null, or added. Returns the
  /// gradient of what Tqt learns, else 0. The same as the ops one after the other, in every bit.
  double backward(const Way& way, T* dx, bool add) const;

 private:
  Limits<T> clamp_;
  T lo_, hi_;  ///< a gradient passes the quantizer between them
  bool learns_;
  QuantSpec spec_;
  Rounding rounding_;
};

}  // namespace binade
