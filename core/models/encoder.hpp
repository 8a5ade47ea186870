// Encoders: the part of a classification network that finds features, for networks that do more with them.
#pragma once

#include <array>
#include <vector>

#include "core/graph/builder.hpp"

namespace binade {

/// The output of one block of an encoder.
struct Feature {
  ValueId value{};
  int stride = 1;  ///< input pixels per pixel, on each axis
};

/// In the order of the blocks; the last is the deepest.
using Features = std::vector<Feature>;

/// The last feature of that stride: what TI's decoders take as the shortcut. @source [docs/ti.md 6.3]
/// @throws ContractError if the encoder has none
ValueId last_of_stride(const Features& features, int stride);

/// MobileNetV2 up to its last inverted residual (320 channels at width 1), without the 1x1 convolution after it.
/// Nodes and parameters have the names of the whole network.
/// `last_stride`: of the stage of 160 channels; 1 makes the deepest stride 16 instead of 32.
Features mobilenet_v2_features(Builder& net, ValueId input, double width, Activation activation, int last_stride);

/// Four stages; each begins with stride 2, and its blocks have one width throughout.
struct RegNet {
  std::array<int, 4> widths, depths;
  int group_width;
};
inline constexpr RegNet kRegNetX400MF{{32, 64, 160, 384}, {1, 2, 7, 12}, 16};
inline constexpr RegNet kRegNetX800MF{{64, 128, 288, 672}, {1, 3, 7, 5}, 16};
inline constexpr RegNet kRegNetX1_6GF{{72, 168, 408, 912}, {2, 4, 10, 2}, 24};
inline constexpr RegNet kRegNetX3_2GF{{96, 192, 432, 1008}, {2, 6, 15, 2}, 48};

/// All of the network but its classifier. Nodes and parameters have the names of the whole network. `width`: factor on
/// the widths of the stages, to whole groups.
Features regnet_features(Builder& net, ValueId input, const RegNet& plan, double width);

}  // namespace binade
