// RegNetX [Radosavovic et al. 2020] with torchvision's names. @source [docs/ti.md 6.3]
#include <algorithm>
#include <cmath>
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/encoder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

ValueId conv_bn(Builder& net, const std::string& name, ValueId x, const ConvLayer& layer) {
  return net.batch_norm(name + ".1", net.conv(name + ".0", x, layer));
}

/// 1x1, grouped 3x3 (with the stride), 1x1, all of the same width; a projected shortcut where the extents change.
ValueId block(Builder& net, const std::string& name, ValueId x, int channels, int stride, int group_width) {
  ValueId shortcut = x;
  if (stride != 1 || net.channels(x) != channels) {
    shortcut = conv_bn(net, name + ".proj", x, {.channels = channels, .stride = stride});
  }
  ValueId y = net.activation(name + ".f.a.2", conv_bn(net, name + ".f.a", x, {.channels = channels}), Activation::relu);
  y = conv_bn(net, name + ".f.b", y,
              {.channels = channels, .kernel = 3, .stride = stride, .groups = channels / group_width});
  y = conv_bn(net, name + ".f.c", net.activation(name + ".f.b.2", y, Activation::relu), {.channels = channels});
  return net.activation(name + ".activation", net.add(name + ".add", Add{}, {shortcut, y}), Activation::relu);
}

Graph build(const ModelOptions& options, const RegNet& plan) {
  Builder net(options.seed, options.random);
  const Features features = regnet_features(net, net.input("input", options.input), plan, options.width);
  ValueId x = net.add("avgpool", GlobalAvgPool{}, {features.back().value});
  x = net.linear("fc", net.dropout("dropout", x, options.dropout), options.classes);
  return std::move(net).finish(x);
}

}  // namespace

Features regnet_features(Builder& net, ValueId input, const RegNet& plan, double width) {
  ValueId x = conv_bn(net, "stem", input, {.channels = 32, .kernel = 3, .stride = 2});
  x = net.activation("stem.2", x, Activation::relu);
  int stride = 2;
  Features features{{x, stride}};
  for (std::size_t stage = 0; stage < plan.widths.size(); ++stage) {
    const std::string name =
        "trunk_output.block" + std::to_string(stage + 1) + ".block" + std::to_string(stage + 1) + "-";
    const double groups = plan.widths[stage] * width / plan.group_width;
    const int channels = std::max(1, static_cast<int>(std::lround(groups))) * plan.group_width;
    stride *= 2;
    for (int i = 0; i < plan.depths[stage]; ++i) {
      x = block(net, name + std::to_string(i), x, channels, i == 0 ? 2 : 1, plan.group_width);
      features.push_back({x, stride});
    }
  }
  return features;
}

Graph build_regnet_x_400mf(const ModelOptions& options) {
  return build(options, kRegNetX400MF);
}

Graph build_regnet_x_800mf(const ModelOptions& options) {
  return build(options, kRegNetX800MF);
}

Graph build_regnet_x_1_6gf(const ModelOptions& options) {
  return build(options, kRegNetX1_6GF);
}

Graph build_regnet_x_3_2gf(const ModelOptions& options) {
  return build(options, kRegNetX3_2GF);
}

}  // namespace binade
