// TI's light decoders for semantic segmentation: DeepLabV3Lite, UNetLite, FPNLite. @source [docs/ti.md 6.3]
//
// The encoder's nodes and parameters have the names of the classification network; names in the decoder begin with
// "decoder.". Result: one logit per class and pixel of the input.
#include <algorithm>
#include <string>

#include "core/models/encoder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

/// The settings that all parts of a decoder share.
struct Decoder {
  Builder& net;
  int group_width;  ///< channels per group where MobileNet's decoders are depthwise
  double dropout;

  /// Convolution, batch norm and ReLU, called NAME.0, .1, .2.
  ValueId unit(const std::string& name, ValueId x, const ConvLayer& layer) const {
    return net.activation(name + ".2", normal(name, x, layer), Activation::relu);
  }
  ValueId normal(const std::string& name, ValueId x, const ConvLayer& layer) const {
    return net.batch_norm(name + ".1", net.conv(name + ".0", x, layer));
  }
  ConvLayer grouped(ValueId x, int dilation = 1) const {
    const int channels = net.channels(x);
    return {.channels = channels, .kernel = 3, .dilation = dilation, .groups = channels / group_width};
  }
  /// Depthwise (or grouped) 3x3, then 1x1.
  ValueId separable(const std::string& name, ValueId x, int channels, int dilation = 1) const {
    const ValueId y = unit(name + ".dw", x, grouped(x, dilation));
    return unit(name + ".pw", y, {.channels = channels});
  }

  /// The pyramid over dilations, without image-level pooling.
  ValueId aspp(ValueId x, int branch, int channels) const {
    const std::string name = "decoder.aspp";
    std::vector<ValueId> branches{unit(name + ".d1", x, {.channels = branch})};
    for (const int dilation : {6, 12, 18}) {
      branches.push_back(separable(name + ".d" + std::to_string(dilation), x, branch, dilation));
    }
    const ValueId joined = net.dropout(name + ".dropout", net.add(name + ".concat", Concat{}, branches), dropout);
    return unit(name + ".out", joined, {.channels = channels});
  }

  /// Bilinear interpolation (half-pixel centres) to the extents of `like`.
  ValueId enlarged(const std::string& name, ValueId x, const Shape& like) const {
    return net.add(name, Resize{.height = like.h, .width = like.w}, {x});
  }
  ValueId enlarged(const std::string& name, ValueId x, ValueId like) const {
    return enlarged(name, x, net.shape(like));
  }

  /// The logits of every pixel, at the extents of the input.
  ValueId predict(ValueId x, const ModelOptions& options) const {
    x = normal("decoder.predict.dw", x, grouped(x));
    x = net.conv("decoder.predict.pw", x, {.channels = options.classes});
    return enlarged("decoder.logits", x, options.input);
  }
};

/// Strides at which a decoder takes shortcuts from the encoder, deepest first.
constexpr int kUnetStrides[] = {16, 8, 4, 2};
constexpr int kFpnStrides[] = {16, 8, 4};

Graph build_fpn(Builder& net, const Decoder& decoder, const Features& features, int width,
                const ModelOptions& options) {
  ValueId x = decoder.aspp(features.back().value, width, width);
  for (const int stride : kFpnStrides) {
    const std::string level = "decoder.level" + std::to_string(stride);
    const ValueId lateral = decoder.unit(level + ".lateral", last_of_stride(features, stride), {.channels = width});
    x = net.add(level + ".add", Add{}, {decoder.enlarged(level + ".up", x, lateral), lateral});
    x = decoder.separable(level + ".smooth", x, width);
  }
  return std::move(net).finish(decoder.predict(x, options));
}

Graph build_regnet_fpn(const RegNet& plan, int width, const ModelOptions& options) {
  Builder net(options.seed, options.random);
  const Decoder decoder{.net = net, .group_width = plan.group_width, .dropout = options.dropout};
  const Features features = regnet_features(net, net.input("input", options.input), plan, options.width);
  return build_fpn(net, decoder, features, width, options);
}

}  // namespace

Graph build_mobilenet_v2_deeplabv3lite(const ModelOptions& options) {
  Builder net(options.seed, options.random);
  const Decoder decoder{.net = net, .group_width = 1, .dropout = options.dropout};
  const Features features =
      mobilenet_v2_features(net, net.input("input", options.input), options.width, Activation::relu, 1);
  const ValueId deep = decoder.aspp(features.back().value, 256, 256);
  const ValueId shortcut = decoder.unit("decoder.shortcut", last_of_stride(features, 4), {.channels = 48});
  const ValueId x =
      net.add("decoder.concat", Concat{}, {decoder.enlarged("decoder.aspp.up", deep, shortcut), shortcut});
  return std::move(net).finish(decoder.predict(x, options));
}

Graph build_mobilenet_v2_unetlite(const ModelOptions& options) {
  Builder net(options.seed, options.random);
  const Decoder decoder{.net = net, .group_width = 1, .dropout = options.dropout};
  const Features features =
      mobilenet_v2_features(net, net.input("input", options.input), options.width, Activation::relu, 2);
  const int narrowest = std::max(2 * options.classes, 32);
  ValueId x = decoder.aspp(features.back().value, 256, 256);
  for (const int stride : kUnetStrides) {
    const std::string level = "decoder.level" + std::to_string(stride);
    const ValueId shortcut = last_of_stride(features, stride);
    x = net.add(level + ".concat", Concat{}, {decoder.enlarged(level + ".up", x, shortcut), shortcut});
    x = decoder.separable(level + ".smooth", x, std::max(narrowest, net.channels(shortcut)));
  }
  return std::move(net).finish(decoder.predict(x, options));
}

Graph build_mobilenet_v2_fpnlite(const ModelOptions& options) {
  Builder net(options.seed, options.random);
  const Decoder decoder{.net = net, .group_width = 1, .dropout = options.dropout};
  const Features features =
      mobilenet_v2_features(net, net.input("input", options.input), options.width, Activation::relu, 2);
  return build_fpn(net, decoder, features, 256, options);
}

Graph build_regnet_x_800mf_fpnlite(const ModelOptions& options) {
  return build_regnet_fpn(kRegNetX800MF, 256, options);
}

Graph build_regnet_x_1_6gf_fpnlite(const ModelOptions& options) {
  return build_regnet_fpn(kRegNetX1_6GF, 264, options);
}

Graph build_regnet_x_3_2gf_fpnlite(const ModelOptions& options) {
  return build_regnet_fpn(kRegNetX3_2GF, 288, options);
}

}  // namespace binade
