// The four networks of MLPerf Tiny [Banbury et al. 2021] as its reference code defines them, up to the logits.
#include <string>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

constexpr NormLayer kNorm{.epsilon = 1e-3, .momentum = 0.01};

/// Layers as TensorFlow has them: a bias before every batch norm, "same" padding.
class Tiny {
 public:
  explicit Tiny(const ModelOptions& options) : net(options.seed, options.random) {}

  ValueId normal(const std::string& name, ValueId x, ConvLayer layer) {
    layer.bias = true;
    layer.padding = Padding::same;
    return net.batch_norm(name + "_bn", net.conv(name, x, layer), kNorm);
  }
  ValueId relu(const std::string& name, ValueId x) { return net.activation(name + "_relu", x, Activation::relu); }
  ValueId unit(const std::string& name, ValueId x, const ConvLayer& layer) {
    return relu(name, normal(name, x, layer));
  }
  ValueId depthwise(const std::string& name, ValueId x, int stride) {
    const int channels = net.channels(x);
    return unit(name, x, {.channels = channels, .kernel = 3, .stride = stride, .groups = channels});
  }

  Builder net;
};

}  // namespace

Graph build_mlperf_resnet8(const ModelOptions& options) {
  Tiny tiny(options);
  ValueId x = tiny.unit("conv", tiny.net.input("input", options.input), {.channels = 16, .kernel = 3});
  for (int stage = 0; stage < 3; ++stage) {
    const std::string name = "stack" + std::to_string(stage + 1);
    const int channels = 16 << stage, stride = stage == 0 ? 1 : 2;
    ValueId y = tiny.unit(name + "_conv1", x, {.channels = channels, .kernel = 3, .stride = stride});
    y = tiny.normal(name + "_conv2", y, {.channels = channels, .kernel = 3});
    if (stage > 0) {
      x = tiny.net.conv(name + "_shortcut", x,
                        {.channels = channels, .stride = stride, .bias = true, .padding = Padding::same});
    }
    x = tiny.relu(name, tiny.net.add(name + "_add", Add{}, {x, y}));
  }
  x = tiny.net.dropout("dropout", tiny.net.add("avg_pool", GlobalAvgPool{}, {x}), options.dropout);
  return std::move(tiny.net).finish(tiny.net.linear("dense", x, options.classes));
}

Graph build_mlperf_dscnn(const ModelOptions& options) {
  Tiny tiny(options);
  ValueId x = tiny.unit("conv", tiny.net.input("input", options.input),
                        {.channels = 64, .kernel = 10, .stride = 2, .kernel_w = 4});
  x = tiny.net.dropout("dropout", x, options.dropout);
  for (int block = 1; block <= 4; ++block) {
    const std::string name = std::to_string(block);
    x = tiny.unit("pointwise" + name, tiny.depthwise("depthwise" + name, x, 1), {.channels = 64});
  }
  x = tiny.net.dropout("dropout_1", x, 2 * options.dropout);
  x = tiny.net.add("avg_pool", GlobalAvgPool{}, {x});
  return std::move(tiny.net).finish(tiny.net.linear("dense", x, options.classes));
}

Graph build_mlperf_mobilenet_v1(const ModelOptions& options) {
  struct Block {
    int channels, stride;
  };
  constexpr Block kBlocks[] = {{16, 1},  {32, 2},  {32, 1},  {64, 2},  {64, 1},  {128, 2}, {128, 1},
                               {128, 1}, {128, 1}, {128, 1}, {128, 1}, {256, 2}, {256, 1}};
  Tiny tiny(options);
  ValueId x = tiny.unit("conv", tiny.net.input("input", options.input), {.channels = 8, .kernel = 3, .stride = 2});
  int index = 1;
  for (const auto& [channels, stride] : kBlocks) {
    const std::string name = std::to_string(index++);
    x = tiny.unit("pointwise" + name, tiny.depthwise("depthwise" + name, x, stride), {.channels = channels});
  }
  x = tiny.net.dropout("dropout", tiny.net.add("avg_pool", GlobalAvgPool{}, {x}), options.dropout);
  return std::move(tiny.net).finish(tiny.net.linear("dense", x, options.classes));
}

Graph build_mlperf_autoencoder(const ModelOptions& options) {
  Tiny tiny(options);
  ValueId x = tiny.net.input("input", options.input);
  int index = 0;
  for (const int channels : {128, 128, 128, 128, 8, 128, 128, 128, 128}) {
    const std::string name = "dense" + std::to_string(index++);
    x = tiny.relu(name, tiny.net.batch_norm(name + "_bn", tiny.net.linear(name, x, channels), kNorm));
  }
  return std::move(tiny.net).finish(tiny.net.linear("reconstruction", x, options.classes));
}

}  // namespace binade
