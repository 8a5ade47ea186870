// ResNet [He et al. 2015]: torchvision's 18 and 50 for ImageNet, and the paper's 20 for CIFAR.
#include <array>
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

ValueId conv_bn(Builder& net, const std::string& conv, const std::string& norm, ValueId x, const ConvLayer& layer) {
  return net.batch_norm(norm, net.conv(conv, x, layer));
}

/// The shortcut of a block that changes the extents is a 1x1 convolution.
ValueId projected(Builder& net, const std::string& name, ValueId x, int channels, int stride) {
  if (stride == 1 && net.channels(x) == channels) return x;
  return conv_bn(net, name + ".downsample.0", name + ".downsample.1", x, {.channels = channels, .stride = stride});
}

/// Two 3x3 convolutions; their result is added to the shortcut.
ValueId basic_block(Builder& net, const std::string& name, ValueId x, int channels, int stride) {
  ValueId y = conv_bn(net, name + ".conv1", name + ".bn1", x, {.channels = channels, .kernel = 3, .stride = stride});
  y = net.activation(name + ".relu1", y, Activation::relu);
  return conv_bn(net, name + ".conv2", name + ".bn2", y, {.channels = channels, .kernel = 3});
}

/// 1x1, 3x3 (with the stride), then 1x1 to four times the channels.
ValueId bottleneck(Builder& net, const std::string& name, ValueId x, int channels, int stride) {
  ValueId y = conv_bn(net, name + ".conv1", name + ".bn1", x, {.channels = channels});
  y = net.activation(name + ".relu1", y, Activation::relu);
  y = conv_bn(net, name + ".conv2", name + ".bn2", y, {.channels = channels, .kernel = 3, .stride = stride});
  y = net.activation(name + ".relu2", y, Activation::relu);
  return conv_bn(net, name + ".conv3", name + ".bn3", y, {.channels = 4 * channels});
}

ValueId joined(Builder& net, const std::string& name, const char* relu, ValueId y, ValueId shortcut) {
  return net.activation(name + relu, net.add(name + ".add", Add{}, {y, shortcut}), Activation::relu);
}

Graph finish(Builder& net, ValueId x, const ModelOptions& options) {
  x = net.add("avgpool", GlobalAvgPool{}, {x});
  x = net.linear("fc", net.dropout("dropout", x, options.dropout), options.classes);
  return std::move(net).finish(x);
}

Graph build_imagenet(const ModelOptions& options, const std::array<int, 4>& depths, bool is_bottleneck) {
  Builder net(options.seed, options.random);
  ValueId x = net.input("input", options.input);
  x = conv_bn(net, "conv1", "bn1", x, {.channels = 64, .kernel = 7, .stride = 2});
  x = net.activation("relu", x, Activation::relu);
  x = net.add("maxpool",
              MaxPool{.kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}, {x});
  for (int stage = 0; stage < 4; ++stage) {
    const int channels = 64 << stage;
    for (int i = 0; i < depths[static_cast<std::size_t>(stage)]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int stride = i == 0 && stage > 0 ? 2 : 1;
      // The shortcut comes last, as in torchvision, so that weights have the order of an exported file.
      const ValueId y = (is_bottleneck ? bottleneck : basic_block)(net, name, x, channels, stride);
      const ValueId shortcut = projected(net, name, x, net.channels(y), stride);
      x = joined(net, name, is_bottleneck ? ".relu3" : ".relu2", y, shortcut);
    }
  }
  return finish(net, x, options);
}

/// The paper's shortcut for CIFAR ("option A"): every second pixel, new channels zero on both sides.
ValueId padded(Builder& net, const std::string& name, ValueId x, int channels, const Shape& shape) {
  const int in = net.channels(x);
  if (in == channels) return x;
  x = net.add(name + ".shortcut.h", Slice{.axis = 1, .begin = 0, .end = shape.h, .step = 2}, {x});
  x = net.add(name + ".shortcut.w", Slice{.axis = 2, .begin = 0, .end = shape.w, .step = 2}, {x});
  const int before = (channels - in) / 2;
  return net.add(name + ".shortcut.pad", Pad{.channels_before = before, .channels_after = channels - in - before}, {x});
}

}  // namespace

Graph build_resnet18(const ModelOptions& options) {
  return build_imagenet(options, {2, 2, 2, 2}, false);
}

Graph build_resnet50(const ModelOptions& options) {
  return build_imagenet(options, {3, 4, 6, 3}, true);
}

Graph build_resnet20(const ModelOptions& options) {
  Builder net(options.seed, options.random);
  ValueId x = net.input("input", options.input);
  x = conv_bn(net, "conv1", "bn1", x, {.channels = 16, .kernel = 3});
  x = net.activation("relu", x, Activation::relu);
  Shape extents = options.input;
  for (int stage = 0; stage < 3; ++stage) {
    const int channels = 16 << stage;
    for (int i = 0; i < 3; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int stride = i == 0 && stage > 0 ? 2 : 1;
      const ValueId shortcut = padded(net, name, x, channels, extents);
      x = joined(net, name, ".relu2", basic_block(net, name, x, channels, stride), shortcut);
      if (stride == 2) extents = {1, (extents.h + 1) / 2, (extents.w + 1) / 2, channels};
    }
  }
  return finish(net, x, options);
}

}  // namespace binade
