// Weights and start values in the order in which the kernels read them.
#pragma once

#include <cstdint>

#include "core/base/memory.hpp"
#include "core/integer/engine/patches.hpp"
#include "core/integer/engine/step.hpp"

namespace binade::integer {

/// The weights of one phase: for each group {panels, quads, 16, 4} codes and {panels, 16} start values.
class PackedPhase {
 public:
  /// `start` is what every accumulator begins with besides the bias and the surplus of the input's zero point.
  PackedPhase(const Program& program, const ConvInstr& conv, const Phase& phase, const EngineTensor& in,
              std::int32_t start);

  /// From a channel of a group on that is a multiple of kLanes.
  const std::int8_t* weights_of(int group, int channel) const {
    return weights_.data() + group * group_bytes_ + std::ptrdiff_t{channel} * 4 * quads_;
  }
  const std::int32_t* starts_of(int group, int channel) const { return starts_.data() + group * lanes_ + channel; }
  std::size_t bytes() const { return weights_.size() + starts_.size() * sizeof(std::int32_t); }

 private:
  int quads_, lanes_;
  std::ptrdiff_t group_bytes_;
  Block<std::int8_t> weights_;
  Block<std::int32_t> starts_;
};

/// The weights of a depthwise convolution, and {channels, padded} start values.
struct PackedDepthwise {
  Block<std::int8_t> weights;
  Block<std::int32_t> starts;
  std::size_t bytes() const { return weights.size() + starts.size() * sizeof(std::int32_t); }
};

/// In the order of the kernels' Depthwise, or of Depthwise3x3 if `three`.
PackedDepthwise pack_depthwise(const Program& program, const ConvInstr& conv, const EngineTensor& in,
                               std::int32_t start, bool three);

}  // namespace binade::integer
