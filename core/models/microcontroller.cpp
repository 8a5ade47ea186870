// Two families of small networks of rising size, for microcontrollers: fully connected, and convolutional.
#include <string>
#include <vector>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

Graph build_fc(const ModelOptions& options, const std::vector<int>& hidden) {
  Builder net(options.seed, options.random);
  ValueId x = net.add("flatten", Reshape{}, {net.input("input", options.input)});
  int index = 1;
  for (const int outputs : hidden) {
    const std::string name = "fc" + std::to_string(index++);
    x = net.activation(name + ".relu", net.linear(name, x, outputs), Activation::relu);
  }
  x = net.dropout("dropout", x, options.dropout);
  return std::move(net).finish(net.linear("classifier", x, options.classes));
}

/// Three times a 3x3 convolution with batch norm and ReLU, to twice the channels, each followed by a pool except the
/// last, whose pixels are averaged.
Graph build_cnn(const ModelOptions& options, int channels) {
  Builder net(options.seed, options.random);
  ValueId x = net.input("input", options.input);
  for (int stage = 0; stage < 3; ++stage) {
    const std::string name = "conv" + std::to_string(stage + 1);
    if (stage > 0) x = net.add("pool" + std::to_string(stage), MaxPool{}, {x});
    x = net.batch_norm(name + ".norm", net.conv(name, x, {.channels = channels << stage, .kernel = 3}));
    x = net.activation(name + ".relu", x, Activation::relu);
  }
  x = net.dropout("dropout", net.add("avgpool", GlobalAvgPool{}, {x}), options.dropout);
  return std::move(net).finish(net.linear("classifier", x, options.classes));
}

}  // namespace

Graph build_fc_0(const ModelOptions& options) {
  return build_fc(options, {16});
}
Graph build_fc_1(const ModelOptions& options) {
  return build_fc(options, {64});
}
Graph build_fc_2(const ModelOptions& options) {
  return build_fc(options, {128, 64});
}
Graph build_fc_3(const ModelOptions& options) {
  return build_fc(options, {256, 128, 64});
}

Graph build_cnn_0(const ModelOptions& options) {
  return build_cnn(options, 8);
}
Graph build_cnn_1(const ModelOptions& options) {
  return build_cnn(options, 16);
}
Graph build_cnn_2(const ModelOptions& options) {
  return build_cnn(options, 32);
}
Graph build_cnn_3(const ModelOptions& options) {
  return build_cnn(options, 64);
}

}  // namespace binade
