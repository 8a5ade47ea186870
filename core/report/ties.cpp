// What ties mean: integer logits often agree exactly, and no order of the classes may decide then.
#include "core/report/predictions.hpp"

#include <algorithm>

namespace binade {

double Predictions::credit(int image, int best) const {
  if (logits.count() == 0) return (best == 1 ? top1_is_right(image) : top5_is_right(image)) ? 1 : 0;
  const std::span<const float> scores = logits.view().images(image, 1).span();
  const float own = scores[static_cast<std::size_t>(labels[static_cast<std::size_t>(image)])];
  const auto greater = std::count_if(scores.begin(), scores.end(), [own](float s) { return s > own; });
  const auto same = std::count(scores.begin(), scores.end(), own);
  return std::clamp(static_cast<double>(best - greater) / static_cast<double>(same), 0.0, 1.0);
}

std::vector<std::int32_t> Predictions::top_classes(int image) const {
  if (logits.count() == 0) return {top1[static_cast<std::size_t>(image)]};
  const std::span<const float> scores = logits.view().images(image, 1).span();
  const float largest = *std::max_element(scores.begin(), scores.end());
  std::vector<std::int32_t> tied;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    if (scores[c] == largest) tied.push_back(static_cast<std::int32_t>(c));
  }
  return tied;
}

}  // namespace binade
