// The codes of one weight tensor from step to step: which weights swing between two codes, and holding them still.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/fixed_point.hpp"
#include "core/base/tensor.hpp"

namespace binade {

struct OscillationOptions {
  double memory = 0.01;       ///< what one step adds to a weight's average frequency of oscillation
  double oscillates = 0.005;  ///< a weight with a higher frequency counts as oscillating
  double freeze_above = 0;    ///< a weight with a higher frequency is held at its code; 0: never
  double release_below = 0;   ///< until the frequency has decayed to this
};

/// A weight oscillates at a step if its code changes, in the direction opposite to its last change.
/// @source Nagel et al. 2022, with a release
class WeightCodes {
 public:
  WeightCodes(const OscillationOptions& options, Shape shape);

  /// Begins at these weights, with the memory of an earlier run.
  void begin(std::span<const float> weights, QuantSpec spec, Rounding rounding);
  /// After an update. Held weights are put back on their codes. The same for any number of threads.
  void step(std::span<float> weights, QuantSpec spec, Rounding rounding);

  std::int64_t oscillating() const { return oscillating_; }  ///< weights, by the last step
  std::int64_t held() const { return held_; }

  /// One number per weight: 2 if its code never changed; else the frequency, negative if the last change was downwards,
  /// its magnitude 4 larger while the weight is held.
  const Tensor<float>& memory() const { return memory_; }
  void set_memory(const Tensor<float>& memory) { memory_ = memory; }

 private:
  OscillationOptions options_;
  Tensor<float> memory_;
  std::vector<std::int16_t> codes_;
  QuantSpec spec_;
  std::int64_t oscillating_ = 0, held_ = 0;
};

}  // namespace binade
