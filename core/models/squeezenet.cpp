// SqueezeNet 1.1 [Iandola et al. 2016] with torchvision's names: no batch norm, branches that are joined.
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

ValueId conv_relu(Builder& net, const std::string& name, const std::string& act, ValueId x, const ConvLayer& layer) {
  return net.activation(act, net.conv(name, x, layer), Activation::relu);
}

/// A fire module: 1x1 to few channels, then 1x1 and 3x3 in parallel, concatenated.
ValueId fire(Builder& net, const std::string& name, ValueId x, int squeezed, int expanded) {
  const auto conv = [&](const std::string& part, ValueId from, int channels, int kernel) {
    return conv_relu(net, name + "." + part, name + "." + part + "_activation", from,
                     {.channels = channels, .kernel = kernel, .bias = true});
  };
  x = conv("squeeze", x, squeezed, 1);
  return net.add(name + ".concat", Concat{}, {conv("expand1x1", x, expanded, 1), conv("expand3x3", x, expanded, 3)});
}

}  // namespace

Graph build_squeezenet1_1(const ModelOptions& options) {
  Builder net(options.seed, options.random);
  ValueId x = net.input("input", options.input);
  x = conv_relu(net, "features.0", "features.1", x,
                {.channels = 64, .kernel = 3, .stride = 2, .bias = true, .padding = Padding::none});
  const MaxPool pool{.kernel_h = 3, .kernel_w = 3, .ceil_mode = true};
  x = fire(net, "features.3", net.add("features.2", pool, {x}), 16, 64);
  x = fire(net, "features.4", x, 16, 64);
  x = fire(net, "features.6", net.add("features.5", pool, {x}), 32, 128);
  x = fire(net, "features.7", x, 32, 128);
  x = fire(net, "features.9", net.add("features.8", pool, {x}), 48, 192);
  x = fire(net, "features.10", x, 48, 192);
  x = fire(net, "features.11", x, 64, 256);
  x = fire(net, "features.12", x, 64, 256);
  x = net.dropout("classifier.0", x, options.dropout);
  x = conv_relu(net, "classifier.1", "classifier.2", x, {.channels = options.classes, .bias = true});
  return std::move(net).finish(net.add("classifier.3", GlobalAvgPool{}, {x}));
}

}  // namespace binade
