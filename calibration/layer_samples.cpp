// Sampling of patches and their moments.
#include "calibration/layer_samples.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/ops/matrix_product.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

/// Positions of the sampled output pixels of one image.
std::vector<int> sample_pixels(std::int64_t pixels, int wanted, std::uint64_t seed, int image) {
  std::vector<int> all(static_cast<std::size_t>(pixels));
  std::iota(all.begin(), all.end(), 0);
  if (pixels > wanted) {
    Random random(seed, static_cast<std::uint64_t>(image));
    random.shuffle(all);
    all.resize(static_cast<std::size_t>(wanted));
    std::sort(all.begin(), all.end());
  }
  return all;
}

Conv2d geometry_of(const Node& node) {
  const std::optional<Conv2d> conv = as_convolution(node.op);
  require(conv.has_value(), "sample_layer: a Conv2d or Linear wanted");
  return *conv;
}

/// The patch of output pixel `pixel`, group by group, tap by tap; zeros outside.
void copy_patch(View<const float> x, const Conv2d& conv, const Shape& weights, int out_width, int pixel, float* patch) {
  const int y0 = pixel / out_width * conv.stride_h - conv.pad_top,
            x0 = pixel % out_width * conv.stride_w - conv.pad_left;
  const int columns = weights.h * weights.w * weights.c;
  for (int i = 0; i < weights.h; ++i) {
    for (int j = 0; j < weights.w; ++j) {
      const int row = y0 + i * conv.dilation_h, column = x0 + j * conv.dilation_w;
      const bool inside = row >= 0 && row < x.shape.h && column >= 0 && column < x.shape.w;
      const float* from = inside ? x.data + (std::int64_t{row} * x.shape.w + column) * x.shape.c : nullptr;
      for (int g = 0; g < conv.groups; ++g) {
        float* to = patch + g * columns + (i * weights.w + j) * weights.c;
        for (int c = 0; c < weights.c; ++c) to[c] = inside ? from[g * weights.c + c] : 0.0F;
      }
    }
  }
}

}  // namespace

std::optional<Companion> companion_of(const Graph& quantized, const Graph& reference, const Node& node) {
  const auto only_reader = [&](ValueId id) -> const Node* {
    const std::vector<int> readers = quantized.consumers(id);
    return readers.size() == 1 && id != quantized.output() ? &quantized.nodes()[static_cast<std::size_t>(readers[0])]
                                                           : nullptr;
  };
  const Node* reader = only_reader(node.out);
  ValueId mine = node.out;
  if (reader != nullptr && fixed_quantizer(reader->op) != nullptr) {
    mine = reader->out;
    reader = only_reader(mine);
  }
  if (reader == nullptr || !std::holds_alternative<Add>(reader->op) || reader->in.size() != 2) return std::nullopt;
  const ValueId other = reader->in[reader->in[0] == mine ? 1 : 0];
  const Node* producer = quantized.producer(other);
  const bool is_before =
      producer != nullptr && other != mine && quantized.value(producer->out).node < quantized.value(node.out).node;
  if (!is_before || quantized.shape(other) != quantized.shape(node.out)) return std::nullopt;
  const bool is_quantizer = fixed_quantizer(producer->op) != nullptr;
  Companion found{.quantized = other};
  if (!reference.find(quantized.name(is_quantizer ? producer->in[0] : other), found.reference)) return std::nullopt;
  return found;
}

LayerSamples sample_layer(const GraphWalk& quantized, const GraphWalk& reference, const Node& node, int per_image,
                          std::uint64_t seed) {
  const Graph& graph = quantized.graph();
  const Conv2d conv = geometry_of(node);
  const Shape& weights = graph.shape(node.in[kWeights]);
  const Shape& out = graph.shape(node.out);
  const int per = static_cast<int>(std::min<std::int64_t>(per_image, out.pixels()));
  LayerSamples samples{.rows = std::int64_t{per} * quantized.images(),
                       .groups = conv.groups,
                       .columns = weights.h * weights.w * weights.c,
                       .outputs = weights.n / conv.groups};
  const std::int64_t patch = std::int64_t{samples.groups} * samples.columns;
  samples.patches.resize(static_cast<std::size_t>(samples.rows * patch));
  samples.wanted.resize(static_cast<std::size_t>(samples.rows * weights.n));
  const std::uint64_t layer_seed = mix_bits(seed ^ static_cast<std::uint64_t>(graph.value(node.out).node));
  const auto each_image = [&](View<const float> view, int first, const auto& body) {
    for (int i = 0; i < view.shape.n; ++i) {
      const std::vector<int> pixels = sample_pixels(out.pixels(), per, layer_seed, first + i);
      for (std::size_t k = 0; k < pixels.size(); ++k) {
        body(view.images(i, 1), pixels[k], std::int64_t{first + i} * per + static_cast<std::int64_t>(k));
      }
    }
  };
  samples.half = std::int64_t{per} * (quantized.images() / 2);
  const std::optional<Companion> companion = companion_of(graph, reference.graph(), node);
  const auto add_outputs = [&](View<const float> view, int first, float sign) {
    each_image(view, first, [&](View<const float> y, int pixel, std::int64_t row) {
      const float* from = y.data + std::int64_t{pixel} * weights.n;
      float* to = samples.wanted.data() + row * weights.n;
      for (int c = 0; c < weights.n; ++c) to[c] += sign * from[c];
    });
  };
  std::vector<ValueId> targets{node.in[kInput]};
  if (companion) targets.push_back(companion->quantized);
  quantized.run(targets, [&](ValueId id, View<const float> view, int first) {
    if (companion && id == companion->quantized) add_outputs(view, first, -1);
    if (id != node.in[kInput]) return;
    each_image(view, first, [&](View<const float> x, int pixel, std::int64_t row) {
      copy_patch(x, conv, weights, out.w, pixel, samples.patches.data() + row * patch);
    });
  });
  ValueId twin{};
  require(reference.graph().find(graph.name(node.out), twin), "sample_layer: the reference has no such node");
  targets = {twin};
  if (companion) targets.push_back(companion->reference);
  reference.run(targets, [&](ValueId id, View<const float> view, int first) {
    if (id == twin || (companion && id == companion->reference)) add_outputs(view, first, 1);
  });
  return samples;
}

LayerMoments moments_of(const LayerSamples& samples, int group, std::int64_t begin, std::int64_t end) {
  const std::int64_t n = samples.columns, m = samples.outputs, rows = end - begin;
  const auto take = [&](const std::vector<float>& from, std::int64_t width, std::vector<double>& mean) {
    std::vector<float> part(static_cast<std::size_t>(rows * width));
    mean.assign(static_cast<std::size_t>(width), 0.0);
    const auto row_of = [&](std::int64_t r) { return from.data() + ((begin + r) * samples.groups + group) * width; };
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* row = row_of(r);
      for (std::int64_t c = 0; c < width; ++c) mean[static_cast<std::size_t>(c)] += static_cast<double>(row[c]);
    }
    for (double& x : mean) x /= static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* row = row_of(r);
      for (std::int64_t c = 0; c < width; ++c) {
        part[static_cast<std::size_t>(r * width + c)] =
            static_cast<float>(static_cast<double>(row[c]) - mean[static_cast<std::size_t>(c)]);
      }
    }
    return part;
  };
  LayerMoments moments{.columns = n, .rows = m, .samples = static_cast<double>(rows)};
  const std::vector<float> x = take(samples.patches, n, moments.mean_x), y = take(samples.wanted, m, moments.mean_y);
  moments.covariance.assign(static_cast<std::size_t>(n * n), 0.0);
  moments.cross.assign(static_cast<std::size_t>(n * m), 0.0);
  add_cross_product(rows, n, n, x.data(), x.data(), moments.covariance.data());
  add_cross_product(rows, n, m, x.data(), y.data(), moments.cross.data());
  for (double& v : moments.covariance) v /= static_cast<double>(rows);
  for (double& v : moments.cross) v /= static_cast<double>(rows);
  return moments;
}

}  // namespace binade
