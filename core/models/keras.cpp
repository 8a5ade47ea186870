// Networks as keras.applications defines them: MobileNet, ResNet50/101/152 (version 1), VGG16/19, up to the logits.
#include <array>
#include <span>
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

/// Keras' momentum is the weight of the old statistics.
constexpr NormLayer kMobileNorm{.epsilon = 1e-3, .momentum = 0.01};
constexpr NormLayer kResNetNorm{.epsilon = 1.001e-5, .momentum = 0.01};

ValueId conv_bn(Builder& net, const std::string& conv, const std::string& norm, ValueId x, ConvLayer layer) {
  layer.bias = true;
  return net.batch_norm(norm, net.conv(conv, x, layer), kResNetNorm);
}

/// 1x1 (with the stride), 3x3, then 1x1 to four times the channels.
ValueId bottleneck(Builder& net, const std::string& name, ValueId x, int channels, int stride, bool projected) {
  const auto part = [&](const char* index, ValueId from, const ConvLayer& layer) {
    return conv_bn(net, name + "_" + index + "_conv", name + "_" + index + "_bn", from, layer);
  };
  const auto relu = [&](const char* index, ValueId from) {
    return net.activation(name + "_" + index + "_relu", from, Activation::relu);
  };
  const ValueId shortcut = projected ? part("0", x, {.channels = 4 * channels, .stride = stride}) : x;
  ValueId y = relu("1", part("1", x, {.channels = channels, .stride = stride}));
  y = relu("2", part("2", y, {.channels = channels, .kernel = 3}));
  y = part("3", y, {.channels = 4 * channels});
  return net.activation(name + "_out", net.add(name + "_add", Add{}, {shortcut, y}), Activation::relu);
}

Graph build_resnet(const ModelOptions& options, const std::array<int, 4>& depths) {
  Builder net(options.seed, options.random);
  const auto scaled = [&](int channels) { return scaled_channels(channels, options.width); };
  ValueId x = net.input("input", options.input);
  x = conv_bn(net, "conv1_conv", "conv1_bn", x, {.channels = scaled(64), .kernel = 7, .stride = 2});
  x = net.activation("conv1_relu", x, Activation::relu);
  // Keras pads with zeros before the pool: after a ReLU this does not change any maximum.
  x = net.add("pool1_pool",
              MaxPool{.kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}, {x});
  for (int stage = 0; stage < 4; ++stage) {
    for (int i = 0; i < depths[static_cast<std::size_t>(stage)]; ++i) {
      const std::string name = "conv" + std::to_string(stage + 2) + "_block" + std::to_string(i + 1);
      x = bottleneck(net, name, x, scaled(64 << stage), i == 0 && stage > 0 ? 2 : 1, i == 0);
    }
  }
  x = net.dropout("dropout", net.add("avg_pool", GlobalAvgPool{}, {x}), options.dropout);
  return std::move(net).finish(net.linear("predictions", x, options.classes));
}

Graph build_vgg(const ModelOptions& options, const std::array<int, 5>& depths) {
  Builder net(options.seed, options.random);
  const auto scaled = [&](int channels) { return scaled_channels(channels, options.width); };
  ValueId x = net.input("input", options.input);
  for (int block = 0; block < 5; ++block) {
    const std::string name = "block" + std::to_string(block + 1);
    const int channels = scaled(block < 4 ? 64 << block : 512);
    for (int i = 0; i < depths[static_cast<std::size_t>(block)]; ++i) {
      const std::string conv = name + "_conv" + std::to_string(i + 1);
      x = net.conv(conv, x, {.channels = channels, .kernel = 3, .bias = true});
      x = net.activation(conv + "_relu", x, Activation::relu);
    }
    x = net.add(name + "_pool", MaxPool{}, {x});
  }
  x = net.add("flatten", Reshape{}, {x});
  for (const std::string name : {"fc1", "fc2"}) {
    x = net.activation(name + "_relu", net.linear(name, x, scaled(4096)), Activation::relu);
  }
  x = net.dropout("dropout", x, options.dropout);
  return std::move(net).finish(net.linear("predictions", x, options.classes));
}

}  // namespace

Graph build_mobilenet_v1_keras(const ModelOptions& options) {
  struct Block {
    int channels, stride;
  };
  constexpr Block kBlocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                               {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
  Builder net(options.seed, options.random);
  // Keras rounds down.
  const auto scaled = [&](int channels) { return std::max(1, static_cast<int>(channels * options.width)); };
  const auto finish = [&](const std::string& name, ValueId x) {
    return net.activation(name + "_relu", net.batch_norm(name + "_bn", x, kMobileNorm), Activation::relu6);
  };
  ValueId x = net.input("input", options.input);
  x = finish("conv1",
             net.conv("conv1", x, {.channels = scaled(32), .kernel = 3, .stride = 2, .padding = Padding::same}));
  int index = 1;
  for (const auto& [channels, stride] : kBlocks) {
    const std::string dw = "conv_dw_" + std::to_string(index), pw = "conv_pw_" + std::to_string(index);
    const int in = net.channels(x);
    x = finish(
        dw, net.conv(dw, x, {.channels = in, .kernel = 3, .stride = stride, .groups = in, .padding = Padding::same}));
    x = finish(pw, net.conv(pw, x, {.channels = scaled(channels)}));
    ++index;
  }
  x = net.dropout("dropout", net.add("global_average_pooling2d", GlobalAvgPool{}, {x}), options.dropout);
  return std::move(net).finish(net.linear("conv_preds", x, options.classes));
}

Graph build_resnet50_keras(const ModelOptions& options) {
  return build_resnet(options, {3, 4, 6, 3});
}

Graph build_resnet101_keras(const ModelOptions& options) {
  return build_resnet(options, {3, 4, 23, 3});
}

Graph build_resnet152_keras(const ModelOptions& options) {
  return build_resnet(options, {3, 8, 36, 3});
}

Graph build_vgg16(const ModelOptions& options) {
  return build_vgg(options, {2, 2, 3, 3, 3});
}

Graph build_vgg19(const ModelOptions& options) {
  return build_vgg(options, {2, 2, 4, 4, 4});
}

}  // namespace binade
