// A small quantized network to train: folded, on grids by the maximum of some images.
#pragma once

#include "calibration/collect.hpp"
#include "calibration/estimators/estimators.hpp"
#include "core/model/image_source.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/quantizers.hpp"
#include "tests/qat/tiny.hpp"

namespace binade {

inline Tensor<float> stripe_images(int count, std::uint64_t seed) {
  StripeSource source(count, seed);
  source.start_epoch(0, count, 0);
  const View<const float> view = source.next().images;
  return {view.shape, std::span<const float>(view.data, static_cast<std::size_t>(view.count()))};
}

/// The float network folded and quantized by min-max.
inline Graph small_quantized(const Graph& network, int weight_bits, int activation_bits, int bias_bits = 32) {
  const Graph folded = fold_batch_norm(network);
  TensorImages images(stripe_images(32, 77));
  const std::vector<ValueId> values = quantized_values(folded);
  const std::vector<TensorStats> stats = collect_stats(folded, images, values, 8);
  SpecMap specs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    specs[folded.name(values[i])] =
        choose_min_max(stats[i], {.bits = activation_bits, .is_signed = stats[i].is_signed()});
  }
  for (const ValueId id : quantized_weights(folded)) {
    specs[folded.name(id)] = choose_min_max(TensorStats::of(folded.tensor(id).view()), {.bits = weight_bits});
  }
  return insert_quantizers(folded, specs, {.bias_bits = bias_bits});
}

}  // namespace binade
