// Layers and their initial parameters.
#include "core/graph/builder.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/random.hpp"

namespace binade {
namespace {

/// FNV-1a, 64 bit: the random stream of a parameter, from its name.
std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

/// Padding before and after one axis.
std::pair<int, int> pads_of(const ConvLayer& layer, int kernel, int extent) {
  const int reach = layer.dilation * (kernel - 1);
  if (layer.padding == Padding::none) return {0, 0};
  if (layer.padding == Padding::centred) return {reach / 2, reach / 2};
  const int outputs = (extent + layer.stride - 1) / layer.stride;
  const int total = std::max(0, (outputs - 1) * layer.stride + reach + 1 - extent);
  return {total / 2, total - total / 2};
}

}  // namespace

ValueId Builder::input(std::string_view name, Shape shape) {
  return graph_.input(std::string(name), shape);
}

ValueId Builder::normal_parameter(const std::string& name, Shape shape, double deviation) {
  Tensor<float> tensor(shape);
  if (random_) {
    Random random(seed_, stream_of(name));
    for (float& element : tensor.span()) element = static_cast<float>(deviation * random.normal());
  }
  return graph_.parameter(name, std::move(tensor));
}

ValueId Builder::vector_parameter(const std::string& name, int channels, float value) {
  return graph_.parameter(name, Tensor<float>(channel_shape(channels), value));
}

ValueId Builder::conv(const std::string& name, ValueId x, const ConvLayer& layer) {
  const int kernel_w = layer.kernel_w > 0 ? layer.kernel_w : layer.kernel;
  const auto [top, bottom] = pads_of(layer, layer.kernel, shape(x).h);
  const auto [left, right] = pads_of(layer, kernel_w, shape(x).w);
  const Shape kernel{layer.channels, layer.kernel, kernel_w, channels(x) / layer.groups};
  const double fan_out = static_cast<double>(layer.kernel) * kernel_w * layer.channels;
  std::vector<ValueId> in{x, normal_parameter(name + ".weight", kernel, std::sqrt(2.0 / fan_out))};
  if (layer.bias) in.push_back(vector_parameter(name + ".bias", layer.channels, 0.0f));
  const Conv2d op{.stride_h = layer.stride,
                  .stride_w = layer.stride,
                  .pad_top = top,
                  .pad_left = left,
                  .pad_bottom = bottom,
                  .pad_right = right,
                  .dilation_h = layer.dilation,
                  .dilation_w = layer.dilation,
                  .groups = layer.groups};
  return graph_.add(name, op, std::move(in));
}

ValueId Builder::depthwise(const std::string& name, ValueId x, int kernel, int stride) {
  return conv(name, x, {.channels = channels(x), .kernel = kernel, .stride = stride, .groups = channels(x)});
}

ValueId Builder::batch_norm(const std::string& name, ValueId x, const NormLayer& layer) {
  const int c = channels(x);
  const ValueId gamma = vector_parameter(name + (layer.scale ? ".weight" : ".weight.constant"), c, 1.0f);
  const ValueId beta = vector_parameter(name + ".bias", c, 0.0f);
  const ValueId mean = vector_parameter(name + ".running_mean", c, 0.0f);
  const ValueId variance = vector_parameter(name + ".running_var", c, 1.0f);
  return graph_.add(name, BatchNorm{.epsilon = layer.epsilon, .momentum = layer.momentum},
                    {x, gamma, beta, mean, variance});
}

ValueId Builder::activation(const std::string& name, ValueId x, Activation kind) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return graph_.add(name, Relu{}, {x});
    case Activation::relu6: return graph_.add(name, Clip{.lo = 0, .hi = 6}, {x});
  }
  return x;
}

ValueId Builder::linear(const std::string& name, ValueId x, int outputs) {
  const ValueId weight = normal_parameter(name + ".weight", {outputs, 1, 1, channels(x)}, 0.01);
  return graph_.add(name, Linear{}, {x, weight, vector_parameter(name + ".bias", outputs, 0.0f)});
}

ValueId Builder::dropout(const std::string& name, ValueId x, double probability) {
  return probability > 0 ? graph_.add(name, Dropout{.probability = probability}, {x}) : x;
}

Graph Builder::finish(ValueId output) && {
  graph_.set_output(output);
  return std::move(graph_);
}

int scaled_channels(int channels, double width, int divisor) {
  const double wanted = channels * width;
  const int rounded = std::max(divisor, static_cast<int>(wanted + divisor / 2.0) / divisor * divisor);
  return rounded < 0.9 * wanted ? rounded + divisor : rounded;
}

}  // namespace binade
