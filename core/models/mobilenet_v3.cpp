// MobileNetV3-Lite: MobileNetV3 [Howard et al. 2019] without squeeze-and-excitation, every activation a ReLU, with
// torchvision's names. @source [docs/ti.md 6.2]
#include <algorithm>
#include <span>
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

struct Row {
  int kernel, expanded, channels, stride;
};

struct Plan {
  std::span<const Row> rows;
  int head, hidden;
};

constexpr NormLayer kNorm{.epsilon = 1e-3, .momentum = 0.01};

/// Convolution, batch norm and ReLU, called NAME.0, .1, .2.
ValueId unit(Builder& net, const std::string& name, ValueId x, const ConvLayer& layer) {
  const ValueId y = net.batch_norm(name + ".1", net.conv(name + ".0", x, layer), kNorm);
  return net.activation(name + ".2", y, Activation::relu);
}

/// 1x1 expansion (where it expands), depthwise, linear 1x1 projection; added to x where shapes agree.
ValueId block(Builder& net, const std::string& name, ValueId x, const Row& row, double width) {
  const int in = net.channels(x), channels = scaled_channels(row.channels, width);
  const int expanded = scaled_channels(row.expanded, width);
  int part = 0;
  const auto next = [&] { return name + ".block." + std::to_string(part++); };
  ValueId y = x;
  if (expanded != in) y = unit(net, next(), y, {.channels = expanded});
  y = unit(net, next(), y, {.channels = expanded, .kernel = row.kernel, .stride = row.stride, .groups = expanded});
  const std::string project = next();
  y = net.batch_norm(project + ".1", net.conv(project + ".0", y, {.channels = channels}), kNorm);
  return row.stride == 1 && in == channels ? net.add(name + ".add", Add{}, {x, y}) : y;
}

Graph build(const ModelOptions& options, const Plan& plan) {
  Builder net(options.seed, options.random);
  const double width = options.width;
  ValueId x = net.input("input", options.input);
  x = unit(net, "features.0", x, {.channels = scaled_channels(16, width), .kernel = 3, .stride = 2});
  int index = 1;
  for (const Row& row : plan.rows) x = block(net, "features." + std::to_string(index++), x, row, width);
  x = unit(net, "features." + std::to_string(index), x, {.channels = scaled_channels(plan.head, width)});
  x = net.linear("classifier.0", net.add("avgpool", GlobalAvgPool{}, {x}),
                 scaled_channels(plan.hidden, std::max(1.0, width)));
  x = net.dropout("classifier.2", net.activation("classifier.1", x, Activation::relu), options.dropout);
  return std::move(net).finish(net.linear("classifier.3", x, options.classes));
}

constexpr Row kLarge[] = {{3, 16, 16, 1},   {3, 64, 24, 2},   {3, 72, 24, 1},   {5, 72, 40, 2},   {5, 120, 40, 1},
                          {5, 120, 40, 1},  {3, 240, 80, 2},  {3, 200, 80, 1},  {3, 184, 80, 1},  {3, 184, 80, 1},
                          {3, 480, 112, 1}, {3, 672, 112, 1}, {5, 672, 160, 2}, {5, 960, 160, 1}, {5, 960, 160, 1}};

constexpr Row kSmall[] = {{3, 16, 16, 2},  {3, 72, 24, 2},  {3, 88, 24, 1},  {5, 96, 40, 2},
                          {5, 240, 40, 1}, {5, 240, 40, 1}, {5, 120, 48, 1}, {5, 144, 48, 1},
                          {5, 288, 96, 2}, {5, 576, 96, 1}, {5, 576, 96, 1}};

}  // namespace

Graph build_mobilenet_v3lite_large(const ModelOptions& options) {
  return build(options, {kLarge, 960, 1280});
}

Graph build_mobilenet_v3lite_small(const ModelOptions& options) {
  return build(options, {kSmall, 576, 1024});
}

}  // namespace binade
