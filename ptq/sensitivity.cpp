// Gradient energies by backward passes from random signs.
#include "ptq/sensitivity.hpp"

#include <algorithm>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"

namespace binade {
namespace {

constexpr int kBatch = 4;  // bounds the memory: every activation and its gradient are kept

/// Random signs of one image's output: a function of the image's position alone.
void fill_signs(View<float> out, std::uint64_t seed, int image) {
  Random random(seed, static_cast<std::uint64_t>(image));
  for (float& x : out.span()) x = (random.next() & 1) != 0 ? 1.0F : -1.0F;
}

void add_energy(View<const float> gradient, std::vector<double>& energy) {
  const std::int64_t channels = gradient.shape.c, pixels = gradient.shape.pixels();
  parallel_for(channels, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      const float* g = gradient.data + p * channels;
      for (std::int64_t c = begin; c < end; ++c) {
        energy[static_cast<std::size_t>(c)] += static_cast<double>(g[c]) * static_cast<double>(g[c]);
      }
    }
  });
}

}  // namespace

std::vector<std::vector<double>> output_sensitivity(const Graph& graph, ImageSource& images,
                                                    std::span<const ValueId> values, int image_count,
                                                    std::uint64_t seed) {
  std::vector<std::vector<double>> energies;
  for (const ValueId id : values) energies.emplace_back(static_cast<std::size_t>(graph.shape(id).c), 0.0);
  Executor<float> executor(graph, {.mode = Mode::training, .seed = seed});
  executor.want_gradients(values);
  image_count = std::min(image_count, images.count());
  for (int first = 0; first < image_count; first += kBatch) {
    const int count = std::min(kBatch, image_count - first);
    const View<const float> output = executor.forward(images.images(first, count));
    Tensor<float> signs(output.shape);
    for (int i = 0; i < count; ++i) fill_signs(signs.view().images(i, 1), seed, first + i);
    executor.backward(signs.view());
    for (std::size_t v = 0; v < values.size(); ++v) add_energy(executor.gradient(values[v]), energies[v]);
  }
  for (auto& energy : energies) {
    for (double& x : energy) x /= image_count;
  }
  return energies;
}

}  // namespace binade
