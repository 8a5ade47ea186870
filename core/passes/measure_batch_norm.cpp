// One run of the network, with the sums of each norm's input kept per image.
#include "core/passes/measure_batch_norm.hpp"

#include <cmath>
#include <map>
#include <vector>

#include "core/base/error.hpp"
#include "core/graph/executor.hpp"

namespace binade {
namespace {

/// Sums over the pixels of one image, per channel. Squares are taken around the image's first pixel.
struct ImageSums {
  std::vector<double> origin, sum, squares;
};

ImageSums sums_of(View<const float> image) {
  const auto channels = static_cast<std::size_t>(image.shape.c);
  ImageSums sums{{image.data, image.data + channels}, std::vector<double>(channels), std::vector<double>(channels)};
  const float* x = image.data;
  for (std::int64_t pixel = 0; pixel < image.shape.pixels(); ++pixel) {
    for (std::size_t c = 0; c < channels; ++c) {
      const double v = static_cast<double>(*x++) - sums.origin[c];
      sums.sum[c] += v;
      sums.squares[c] += v * v;
    }
  }
  return sums;
}

struct Moments {
  std::vector<double> mean, variance;
};

/// Joins the images in their order, whichever thread made them. @source Chan et al. 1979
Moments moments_of(const std::vector<ImageSums>& images, std::int64_t pixels) {
  const std::size_t channels = images[0].sum.size();
  Moments all{std::vector<double>(channels), std::vector<double>(channels)};
  const auto n = static_cast<double>(pixels);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const double before = n * static_cast<double>(i), total = before + n;
    for (std::size_t c = 0; c < channels; ++c) {
      const double shift = images[i].sum[c] / n, delta = images[i].origin[c] + shift - all.mean[c];
      all.mean[c] += delta * n / total;
      all.variance[c] += images[i].squares[c] - n * shift * shift + delta * delta * before * n / total;
    }
  }
  for (double& v : all.variance) v /= n * static_cast<double>(images.size());
  return all;
}

void set_statistics(Graph& graph, const Node& node, const Moments& moments) {
  const double epsilon = std::get<BatchNorm>(node.op).epsilon;
  Tensor<float>&gamma = graph.tensor(node.in[1]), &beta = graph.tensor(node.in[2]);
  Tensor<float>&mean = graph.tensor(node.in[3]), &variance = graph.tensor(node.in[4]);
  for (std::int64_t c = 0; c < gamma.count(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    const double gain = static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    const double offset = static_cast<double>(beta[c]) - gain * static_cast<double>(mean[c]);
    mean[c] = static_cast<float>(moments.mean[at]);
    variance[c] = static_cast<float>(std::max(0.0, moments.variance[at]));
    gamma[c] = static_cast<float>(gain * std::sqrt(static_cast<double>(variance[c]) + epsilon));
    beta[c] = static_cast<float>(offset + gain * static_cast<double>(mean[c]));
  }
}

}  // namespace

Graph measure_batch_norm(const Graph& graph, std::span<const std::string> norms, View<const float> images) {
  std::map<ValueId, std::vector<ImageSums>> measured;  // by the norm's input
  std::map<const Node*, ValueId> inputs;
  for (const std::string& name : norms) {
    ValueId id{};
    require(graph.find(name, id) && graph.producer(id) != nullptr &&
                std::holds_alternative<BatchNorm>(graph.producer(id)->op),
            "measure_batch_norm: '" + name + "' is no BatchNorm");
    const Node* node = graph.producer(id);
    inputs[node] = node->in[0];
    measured[node->in[0]].resize(static_cast<std::size_t>(images.shape.n));
  }
  Executor<float> executor(graph);
  executor.forward(images, [&](ValueId id, View<const float> view, int first) {
    const auto found = measured.find(id);
    if (found == measured.end()) return;
    for (int i = 0; i < view.shape.n; ++i) {
      found->second[static_cast<std::size_t>(first + i)] = sums_of(view.images(i, 1));
    }
  });
  Graph result = graph;
  for (const auto& [node, input] : inputs) {
    set_statistics(result, *node, moments_of(measured.at(input), graph.shape(input).pixels()));
  }
  return result;
}

}  // namespace binade
