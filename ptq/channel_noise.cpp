// Magnitude tables per channel, filled through an executor's tap.
#include "ptq/channel_noise.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

#include "core/base/error.hpp"
#include "core/graph/executor.hpp"

namespace binade {
namespace {

constexpr int kLowestExponent = -16;

/// A float's exponent and two leading mantissa bits are the number of its quarter octave.
int bin_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(std::abs(x));
  const int bin = static_cast<int>(bits >> 21) - ((127 + kLowestExponent) << 2);
  return std::clamp(bin, 0, ChannelNoise::kBins - 1);
}

/// The middle of a bin; bin 0 holds everything that is next to nothing.
double center(int bin) {
  return bin == 0 ? 0.0 : std::ldexp(1 + (bin % 4) / 4.0 + 0.125, kLowestExponent + bin / 4);
}

}  // namespace

void ChannelNoise::add(View<const float> tensor) {
  const auto channels = static_cast<std::size_t>(tensor.shape.c);
  if (max_.empty()) {
    max_.assign(channels, 0.0F);
    sum_.assign(channels, 0.0);
    counts_.assign(channels * kBins, 0);
  }
  require(max_.size() == channels, "ChannelNoise: the number of channels changed");
  const std::int64_t pixels = tensor.shape.pixels();
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* x = tensor.data + p * tensor.shape.c;
    for (std::size_t c = 0; c < channels; ++c) {
      const int bin = bin_of(x[c]);
      ++counts_[c * kBins + static_cast<std::size_t>(bin)];
      max_[c] = std::max(max_[c], std::abs(x[c]));
      min_ = std::min(min_, x[c]);
      sum_[c] += x[c] < 0 ? -center(bin) : center(bin);
    }
  }
  count_ += pixels;
}

void ChannelNoise::merge(const ChannelNoise& other) {
  if (other.max_.empty()) return;
  if (max_.empty()) {
    *this = other;
    return;
  }
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  for (std::size_t c = 0; c < max_.size(); ++c) {
    max_[c] = std::max(max_[c], other.max_[c]);
    sum_[c] += other.sum_[c];
  }
  min_ = std::min(min_, other.min_);
  count_ += other.count_;
}

double ChannelNoise::variance(int c) const {
  double squares = 0;
  const std::uint32_t* counts = counts_.data() + static_cast<std::size_t>(c) * kBins;
  for (int bin = 1; bin < kBins; ++bin) squares += counts[bin] * center(bin) * center(bin);
  const double mean = sum_[static_cast<std::size_t>(c)] / static_cast<double>(count_);
  return std::max(0.0, squares / static_cast<double>(count_) - mean * mean);
}

double ChannelNoise::error(int c, double clip, double levels) const {
  const std::uint32_t* counts = counts_.data() + static_cast<std::size_t>(c) * kBins;
  const double step = clip / levels;
  double error = 0;
  for (int bin = 1; bin < kBins; ++bin) {
    if (counts[bin] == 0) continue;
    const double x = center(bin);
    const double squared =
        x < step / 2 ? x * x : (x <= clip ? step * step / 12 : (x - clip) * (x - clip) + step * step / 12);
    error += counts[bin] * squared;
  }
  return error / static_cast<double>(count_);
}

std::vector<ChannelNoise> collect_noise(const Graph& graph, ImageSource& images, std::span<const ValueId> values,
                                        int image_count, int batch) {
  std::vector<int> slot(graph.values().size(), -1);
  for (std::size_t i = values.size(); i-- > 0;) slot[index_of(values[i])] = static_cast<int>(i);
  std::vector<ChannelNoise> tables(values.size());
  std::vector<std::mutex> mutexes(values.size());
  const Tap<float> tap = [&](ValueId id, View<const float> view, int) {
    const int i = slot[index_of(id)];
    if (i < 0) return;
    ChannelNoise local;
    local.add(view);
    const std::lock_guard lock(mutexes[static_cast<std::size_t>(i)]);
    tables[static_cast<std::size_t>(i)].merge(local);
  };
  Executor<float> executor(graph);
  const int count = std::min(image_count, images.count());
  for (int first = 0; first < count; first += batch) {
    executor.forward(images.images(first, std::min(batch, count - first)), tap);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {  // a value asked for twice was collected once
    const auto first = static_cast<std::size_t>(slot[index_of(values[i])]);
    if (first != i) tables[i] = tables[first];
  }
  return tables;
}

}  // namespace binade
