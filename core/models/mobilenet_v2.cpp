// MobileNetV2 [Sandler et al. 2018] with torchvision's names, TI's ReLU form, and a small one for 64x64 images.
#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/encoder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

/// Builds `repeats` inverted residuals; the first has the stride.
struct Stage {
  int expand, channels, repeats, stride;
};

struct Plan {
  int stem;
  std::span<const Stage> stages;
  int head;
  Activation activation;
};

/// 1x1 expansion, 3x3 depthwise, linear 1x1 projection, each with batch normalisation; added to x where shapes agree.
ValueId inverted_residual(Builder& net, const std::string& name, ValueId x, const Stage& stage, int channels,
                          int stride, Activation activation) {
  const int in = net.channels(x);
  const int hidden = in * stage.expand;
  int part = 0;
  const auto act_block = [&](ValueId from, const ConvLayer& layer) {
    const std::string prefix = name + ".conv." + std::to_string(part++);
    const ValueId normal = net.batch_norm(prefix + ".1", net.conv(prefix + ".0", from, layer));
    return net.activation(prefix + ".2", normal, activation);
  };
  ValueId y = x;
  if (stage.expand != 1) y = act_block(y, {.channels = hidden});
  y = act_block(y, {.channels = hidden, .kernel = 3, .stride = stride, .groups = hidden});
  const std::string prefix = name + ".conv.";
  y = net.conv(prefix + std::to_string(part), y, {.channels = channels});
  y = net.batch_norm(prefix + std::to_string(part + 1), y);
  return stride == 1 && in == channels ? net.add(name + ".add", Add{}, {x, y}) : y;
}

/// Stem and inverted residuals; the first feature is the stem's.
Features build_features(Builder& net, ValueId x, double width, const Plan& plan) {
  Features features;
  int stride = 2, block = 1;
  x = net.conv("features.0.0", x, {.channels = scaled_channels(plan.stem, width), .kernel = 3, .stride = 2});
  x = net.activation("features.0.2", net.batch_norm("features.0.1", x), plan.activation);
  features.push_back({x, stride});
  for (const Stage& stage : plan.stages) {
    stride *= stage.stride;
    for (int i = 0; i < stage.repeats; ++i, ++block) {
      x = inverted_residual(net, "features." + std::to_string(block), x, stage, scaled_channels(stage.channels, width),
                            i == 0 ? stage.stride : 1, plan.activation);
      features.push_back({x, stride});
    }
  }
  return features;
}

Graph build(const ModelOptions& options, const Plan& plan) {
  Builder net(options.seed, options.random);
  const Features features = build_features(net, net.input("input", options.input), options.width, plan);
  // A narrow network keeps the full head, as in torchvision.
  const std::string head = "features." + std::to_string(features.size());
  ValueId x = net.conv(head + ".0", features.back().value,
                       {.channels = scaled_channels(plan.head, std::max(1.0, options.width))});
  x = net.activation(head + ".2", net.batch_norm(head + ".1", x), plan.activation);
  x = net.add("avgpool", GlobalAvgPool{}, {x});
  x = net.dropout("classifier.0", x, options.dropout);
  x = net.linear("classifier.1", x, options.classes);
  return std::move(net).finish(x);
}

constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

constexpr Stage kTinyStages[] = {{1, 16, 1, 1}, {4, 24, 2, 2}, {4, 40, 3, 2}, {4, 64, 2, 2}};

}  // namespace

Features mobilenet_v2_features(Builder& net, ValueId input, double width, Activation activation, int last_stride) {
  std::array<Stage, std::size(kStages)> stages;
  std::copy(std::begin(kStages), std::end(kStages), stages.begin());
  stages[5].stride = last_stride;
  return build_features(net, input, width, {.stem = 32, .stages = stages, .head = 0, .activation = activation});
}

Graph build_mobilenet_v2(const ModelOptions& options) {
  return build(options, {32, kStages, 1280, Activation::relu6});
}

Graph build_mobilenet_v2_ti(const ModelOptions& options) {
  return build(options, {32, kStages, 1280, Activation::relu});
}

Graph build_tiny_mobilenet(const ModelOptions& options) {
  return build(options, {16, kTinyStages, 192, Activation::relu6});
}

}  // namespace binade
