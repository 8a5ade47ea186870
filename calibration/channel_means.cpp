// Sums over pixels: in float over short runs, which the compiler makes vectors of, then in double.
#include "calibration/channel_means.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace binade {
namespace {

constexpr std::int64_t kRun = 32;  ///< pixels that are summed in float

}  // namespace

void ChannelMeans::reserve(int count) {
  const auto images = static_cast<std::size_t>(count);
  if (images <= known_.size()) return;
  known_.resize(images, 0);
  slots_.resize(images * 2 * static_cast<std::size_t>(channels_));
}

bool ChannelMeans::has(int first, int count) const {
  if (static_cast<std::size_t>(first + count) > known_.size()) return false;
  const auto begin = known_.begin() + first;
  return std::all_of(begin, begin + count, [](char known) { return known != 0; });
}

void ChannelMeans::add(View<const float> view, int first) {
  require(view.shape.c == channels_, "ChannelMeans: the number of channels changed");
  for (int i = 0; i < view.shape.n; ++i) {
    const auto image = static_cast<std::size_t>(first + i);
    add_image(view.images(i, 1), slots_.data() + image * 2 * static_cast<std::size_t>(channels_));
    known_[image] = 1;
  }
}

void ChannelMeans::add_image(View<const float> image, float* slot) const {
  const auto channels = static_cast<std::size_t>(channels_);
  const std::int64_t pixels = image.shape.pixels();
  std::vector<double> sums(2 * channels, 0.0);
  std::vector<float> run(2 * channels);
  float *sum = run.data(), *squares = run.data() + channels;
  for (std::int64_t begin = 0; begin < pixels; begin += kRun) {
    std::fill(run.begin(), run.end(), 0.0F);
    for (std::int64_t p = begin; p < std::min(pixels, begin + kRun); ++p) {
      const float* x = image.data + p * channels_;
      for (std::size_t c = 0; c < channels; ++c) {
        sum[c] += x[c];
        squares[c] += x[c] * x[c];
      }
    }
    for (std::size_t c = 0; c < 2 * channels; ++c) sums[c] += static_cast<double>(run[c]);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const double mean = sums[c] / static_cast<double>(pixels);
    const double square = sums[channels + c] / static_cast<double>(pixels);
    slot[c] = static_cast<float>(mean);
    slot[channels + c] = static_cast<float>(std::max(0.0, square - mean * mean));
  }
}

Moments ChannelMeans::of(int first, int count) const {
  require(has(first, count), "ChannelMeans: an image is missing");
  const auto channels = static_cast<std::size_t>(channels_);
  Moments moments{std::vector<double>(channels, 0.0), std::vector<double>(channels, 0.0)};
  for (int i = first; i < first + count; ++i) {
    const float* slot = slots_.data() + static_cast<std::size_t>(i) * 2 * channels;
    for (std::size_t c = 0; c < channels; ++c) {
      const double mean = static_cast<double>(slot[c]);
      moments.mean[c] += mean;
      moments.deviation[c] += static_cast<double>(slot[channels + c]) + mean * mean;
    }
  }
  for (std::size_t c = 0; c < channels; ++c) {
    moments.mean[c] /= count;
    moments.deviation[c] = std::sqrt(std::max(0.0, moments.deviation[c] / count - moments.mean[c] * moments.mean[c]));
  }
  return moments;
}

}  // namespace binade
