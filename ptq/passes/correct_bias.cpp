// The pass that corrects biases: empirical, sequential, with biases at the width that is deployed.
#include <algorithm>
#include <cmath>

#include "calibration/graph_walk.hpp"
#include "core/base/error.hpp"
#include "core/passes/layers.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

/// Mean over images and pixels of each channel of one value, summed image by image in order.
class ChannelMeans {
 public:
  /// `shape` is that of the value for any number of images.
  ChannelMeans(int images, const Shape& shape)
      : sums_(static_cast<std::size_t>(images), std::vector<double>(static_cast<std::size_t>(shape.c))),
        pixels_(shape.with_batch(1).pixels()) {}

  /// May be called by several threads for different images.
  void add(View<const float> view, int first) {
    for (int i = 0; i < view.shape.n; ++i) {
      auto& sums = sums_[static_cast<std::size_t>(first + i)];
      const View<const float> image = view.images(i, 1);
      for (std::int64_t p = 0; p < image.shape.pixels(); ++p) {
        for (std::size_t c = 0; c < sums.size(); ++c) {
          sums[c] += static_cast<double>(image.data[p * image.shape.c + static_cast<std::int64_t>(c)]);
        }
      }
    }
  }
  std::vector<double> means() const {
    std::vector<double> total(sums_[0].size(), 0.0);
    for (const auto& sums : sums_) {
      for (std::size_t c = 0; c < total.size(); ++c) total[c] += sums[c];
    }
    for (double& x : total) x /= static_cast<double>(pixels_) * static_cast<double>(sums_.size());
    return total;
  }

 private:
  std::vector<std::vector<double>> sums_;  // by image
  std::int64_t pixels_;
};

std::vector<double> means_of(const GraphWalk& walk, ValueId value) {
  ChannelMeans means(walk.images(), walk.graph().shape(value));
  const std::array target{value};
  walk.run(target, [&](ValueId id, View<const float> view, int first) {
    if (id == value) means.add(view, first);
  });
  return means.means();
}

}  // namespace

/// For each layer in order: b += mean(float output) - mean(quantized output), the quantized network in front of it
/// being corrected already. The bias passes its quantizer, so what is measured is what will be deployed.
Graph correct_bias(const Graph& graph, PassContext& context) {
  const int images = context.images.count();
  GraphWalk quantized(graph, context.images, images), reference(context.reference, context.images, images);
  int corrected = 0;
  double largest = 0;
  for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(i)];
    if (!has_bias(node)) continue;
    const Node* quantizer = graph.producer(node.in[kBias]);
    const ValueId bias = quantizer == nullptr ? node.in[kBias] : quantizer->in[0];
    if (!graph.is_parameter(bias)) continue;
    ValueId twin{};
    require(context.reference.find(graph.name(node.out), twin), "correct_bias: the reference has no such node");
    quantized.advance_before(i);
    reference.advance_before(context.reference.value(twin).node);
    const std::vector<double> wanted = means_of(reference, twin), got = means_of(quantized, node.out);
    Tensor<float>& b = quantized.tensor(bias);
    for (std::size_t c = 0; c < wanted.size(); ++c) {
      const double change = wanted[c] - got[c];
      largest = std::max(largest, std::abs(change));
      float& element = b[static_cast<std::int64_t>(c)];
      element = static_cast<float>(static_cast<double>(element) + change);
    }
    ++corrected;
  }
  context.report["layers"] = corrected;
  context.report["images"] = images;
  context.report["largest_change"] = largest;
  // Biases with a grid of their own may have outgrown it.
  return with_specs(quantized.graph(), {}, context.quantizers);
}

}  // namespace binade
