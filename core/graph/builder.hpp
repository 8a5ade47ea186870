// Layers as one writes them down: a graph under construction, parameters named as torch names them and initialised.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/graph/graph.hpp"

namespace binade {

enum class Activation : std::uint8_t { none, relu, relu6 };

enum class Padding : std::uint8_t {
  centred,  ///< dilation * (kernel - 1) / 2 on every side, so that stride 1 keeps the extents
  same,     ///< TensorFlow's: the output has ceil(input / stride) pixels; an odd pixel of padding goes to the end
  none,
};

struct ConvLayer {
  int channels = 1;  ///< of the output
  int kernel = 1;
  int stride = 1;
  int dilation = 1;
  int groups = 1;
  bool bias = false;
  int kernel_w = 0;  ///< where the kernel is no square
  Padding padding = Padding::centred;
};

struct NormLayer {
  double epsilon = 1e-5;
  double momentum = 0.1;
  bool scale = true;  ///< false: gamma is a constant 1, called "L.weight.constant"
};

/// Appends layers to a graph. A layer called L has the node L and the parameters "L.weight", "L.bias", and for batch
/// normalisation "L.running_mean" and "L.running_var". A parameter's first value depends on the seed and its name
/// alone: other layers may come and go.
class Builder {
 public:
  /// Without `random`, weights are zeros: enough to count them, and quick.
  explicit Builder(std::uint64_t seed, bool random = true) : seed_(seed), random_(random) {}

  ValueId input(std::string_view name, Shape shape);
  /// Weights are Kaiming normal, fan-out: N(0, 2 / (kernel^2 * channels)); a bias is 0. @source He et al. 2015; torch
  ValueId conv(const std::string& name, ValueId x, const ConvLayer& layer);
  /// One filter per channel.
  ValueId depthwise(const std::string& name, ValueId x, int kernel, int stride);
  /// gamma 1, beta 0, running mean 0 and variance 1.
  ValueId batch_norm(const std::string& name, ValueId x, const NormLayer& layer = {});
  ValueId activation(const std::string& name, ValueId x, Activation kind);
  /// Weights N(0, 0.01^2), bias 0.
  ValueId linear(const std::string& name, ValueId x, int outputs);
  /// Identity for probability 0.
  ValueId dropout(const std::string& name, ValueId x, double probability);
  ValueId add(const std::string& name, Op op, std::vector<ValueId> in) { return graph_.add(name, op, std::move(in)); }

  const Shape& shape(ValueId x) const { return graph_.shape(x); }
  int channels(ValueId x) const { return graph_.shape(x).c; }
  /// Ends the construction: the graph whose output is `output`.
  Graph finish(ValueId output) &&;

 private:
  ValueId normal_parameter(const std::string& name, Shape shape, double deviation);
  ValueId vector_parameter(const std::string& name, int channels, float value);

  Graph graph_;
  std::uint64_t seed_;
  bool random_;
};

/// Channels times `width`, to the nearest multiple of `divisor`, but never below 90 % of the product.
/// @source the MobileNetV2 authors' reference code; [docs/ti.md 6.1]
int scaled_channels(int channels, double width, int divisor = 8);

}  // namespace binade
