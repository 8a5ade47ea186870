// MobileNetV1 [Howard et al. 2017], with ReLU as in TI's version.
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {

Graph build_mobilenet_v1(const ModelOptions& options) {
  struct Stage {
    int channels, repeats, stride;
  };
  Builder net(options.seed, options.random);
  const auto conv_bn_relu = [&](const std::string& block, int index, ValueId x, const ConvLayer& layer) {
    const auto name = [&](int offset) { return block + "." + std::to_string(index + offset); };
    x = net.batch_norm(name(1), net.conv(name(0), x, layer));
    return net.activation(name(2), x, Activation::relu);
  };
  ValueId x = net.input("input", options.input);
  x = conv_bn_relu("features.0", 0, x, {.channels = scaled_channels(32, options.width), .kernel = 3, .stride = 2});
  int block = 1;
  for (const Stage& stage : {Stage{64, 1, 1}, {128, 2, 2}, {256, 2, 2}, {512, 6, 2}, {1024, 2, 2}}) {
    for (int i = 0; i < stage.repeats; ++i, ++block) {
      const std::string name = "features." + std::to_string(block);
      const int in = net.channels(x);
      x = conv_bn_relu(name, 0, x, {.channels = in, .kernel = 3, .stride = i == 0 ? stage.stride : 1, .groups = in});
      x = conv_bn_relu(name, 3, x, {.channels = scaled_channels(stage.channels, options.width)});
    }
  }
  x = net.add("avgpool", GlobalAvgPool{}, {x});
  x = net.dropout("dropout", x, options.dropout);
  x = net.linear("classifier", x, options.classes);
  return std::move(net).finish(x);
}

}  // namespace binade
