// Convolution of tensors that lie on grids of at most eight bits: by integers, as the device does it, with a float
// result.
#pragma once

#include <cstdint>

#include "core/base/fixed_point.hpp"
#include "core/base/memory.hpp"
#include "core/ops/conv_geometry.hpp"

namespace binade {

/// y = x * w + b where x and w are codes times powers of two. The sums are exact and rounded once, when the bias is
/// added; a float convolution of the same tensors has the same sums where 24 bits hold them. A NaN makes the results of
/// its image NaN, or those of its channel if it is a weight, so that it is not lost.
class CodeConv {
 public:
  struct Operand {
    const float* values = nullptr;  ///< all on `spec`
    QuantSpec spec;
  };
  /// Whether this processor and build do this convolution faster so.
  static bool supports(const ConvGeometry& g, QuantSpec x, QuantSpec w);

  /// `bias`: {oc} or null. Weights and bias are packed when `version`, their grids or the geometry change; 0: always.
  /// @pre supports(g, x.spec, w.spec)
  void forward(const ConvGeometry& g, int images, Operand x, Operand w, const float* bias, float* y,
               std::uint64_t version);

 private:
  void pack(Operand w, const float* bias);
  void run_image(const float* x, float* y) const;

  ConvGeometry g_;
  QuantSpec x_, w_;
  std::uint64_t version_ = 0;
  int depth_ = 0, quads_ = 0;  ///< products per sum; in fours
  Block<std::int8_t> weights_;
  Block<std::int32_t> starts_;
  Block<float> bias_;
};

}  // namespace binade
