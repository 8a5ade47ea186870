// Small networks and images that the tests of calibration and PTQ share.
#pragma once

#include <cmath>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/graph/builder.hpp"
#include "core/model/image_source.hpp"

namespace binade::test {

inline Tensor<float> random_images(int count, Shape shape, std::uint64_t seed) {
  Tensor<float> images(shape.with_batch(count));
  Random random(seed);
  for (float& x : images.span()) x = static_cast<float>(random.normal());
  return images;
}

/// Gives every batch norm statistics and affine parameters of its own, unevenly.
inline Graph with_random_batch_norms(Graph graph, std::uint64_t seed, double spread) {
  Random random(seed);
  for (const Node& node : graph.nodes()) {
    if (!std::holds_alternative<BatchNorm>(node.op)) continue;
    for (float& x : graph.tensor(node.in[1]).span()) x = static_cast<float>(std::exp(spread * random.normal()));
    for (float& x : graph.tensor(node.in[2]).span()) x = static_cast<float>(0.3 * random.normal());
    for (float& x : graph.tensor(node.in[3]).span()) x = static_cast<float>(0.2 * random.normal());
    for (float& x : graph.tensor(node.in[4]).span()) x = static_cast<float>(std::exp(0.5 * random.normal()));
  }
  return graph;
}

/// Convolution, two inverted residuals with ReLU6, a concat of two branches, max pool, PReLU, global pool, classifier:
/// every kind of tie between channels.
inline Graph small_network(std::uint64_t seed, double spread = 0.8) {
  Builder b(seed);
  ValueId x = b.input("image", {1, 12, 12, 3});
  const auto conv = [&](const std::string& name, ValueId in, ConvLayer layer, Activation activation) {
    return b.activation(name + ".act", b.batch_norm(name + ".bn", b.conv(name, in, layer)), activation);
  };
  x = conv("stem", x, {.channels = 8, .kernel = 3, .stride = 2}, Activation::relu6);
  for (const std::string block : {"a", "b"}) {
    ValueId y = conv(block + ".expand", x, {.channels = 24}, Activation::relu6);
    y = conv(block + ".dw", y, {.channels = 24, .kernel = 3, .groups = 24}, Activation::relu6);
    y = conv(block + ".project", y, {.channels = 8}, Activation::none);
    x = b.add(block + ".add", Add{}, {x, y});
  }
  const ValueId left = conv("left", x, {.channels = 6, .kernel = 3}, Activation::relu);
  const ValueId right = conv("right", x, {.channels = 10}, Activation::relu);
  x = b.add("join", Concat{}, {left, right});
  x = b.add("pool", MaxPool{}, {x});
  x = conv("head", x, {.channels = 16}, Activation::none);
  x = b.add("flat", Reshape{}, {x});
  x = b.linear("classifier", x, 5);
  Graph graph = std::move(b).finish(x);
  for (const ValueId id : graph.parameters()) {
    if (graph.name(id) != "classifier.weight") continue;
    Random random(seed, 7);
    for (float& w : graph.tensor(id).span()) w = static_cast<float>(0.2 * random.normal());
  }
  return with_random_batch_norms(std::move(graph), seed + 1, spread);
}

inline Tensor<float> run(const Graph& graph, const Tensor<float>& images) {
  Executor<float> executor(graph);
  const View<const float> out = executor.forward(images.view());
  return {out.shape, out.span()};
}

/// 10 log10(signal / error), in dB.
inline double sqnr_db(const Tensor<float>& wanted, const Tensor<float>& got) {
  double signal = 0, error = 0;
  for (std::int64_t i = 0; i < wanted.count(); ++i) {
    const double w = static_cast<double>(wanted[i]), e = w - static_cast<double>(got[i]);
    signal += w * w;
    error += e * e;
  }
  return 10 * std::log10(signal / error);
}

}  // namespace binade::test
