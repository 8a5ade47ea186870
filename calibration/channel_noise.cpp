// Magnitude tables per channel, filled through an executor's tap.
#include "calibration/channel_noise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <mutex>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"

namespace binade {
namespace {

constexpr int kLowestExponent = -16;

/// A float's exponent and two leading mantissa bits are the number of its quarter octave.
int bin_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(std::abs(x));
  const int bin = static_cast<int>(bits >> 21) - ((127 + kLowestExponent) << 2);
  return std::clamp(bin, 0, ChannelNoise::kBins - 1);
}

/// The middle of each bin; bin 0 holds everything that is next to nothing.
const std::array<double, ChannelNoise::kBins>& centers() {
  static const auto table = [] {
    std::array<double, ChannelNoise::kBins> middles{};
    for (int bin = 1; bin < ChannelNoise::kBins; ++bin) {
      middles[static_cast<std::size_t>(bin)] = std::ldexp(1 + (bin % 4) / 4.0 + 0.125, kLowestExponent + bin / 4);
    }
    return middles;
  }();
  return table;
}

double center_of(int bin) {
  return centers()[static_cast<std::size_t>(bin)];
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
  const auto& middles = centers();
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* x = tensor.data + p * tensor.shape.c;
    for (std::size_t c = 0; c < channels; ++c) {
      const int bin = bin_of(x[c]);
      ++counts_[c * kBins + static_cast<std::size_t>(bin)];
      max_[c] = std::max(max_[c], std::abs(x[c]));
      min_ = std::min(min_, x[c]);
      sum_[c] += std::copysign(middles[static_cast<std::size_t>(bin)], static_cast<double>(x[c]));
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
  for (int bin = 1; bin < kBins; ++bin) squares += counts[bin] * center_of(bin) * center_of(bin);
  const double mean = sum_[static_cast<std::size_t>(c)] / static_cast<double>(count_);
  return std::max(0.0, squares / static_cast<double>(count_) - mean * mean);
}

/// No element of a channel is larger than its maximum: that matters where a Clip piles them up.
double ChannelNoise::center(int c, int bin) const {
  return std::min(center_of(bin), static_cast<double>(max_[static_cast<std::size_t>(c)]));
}

void ChannelNoise::finish() {
  tails_.assign(max_.size() * (kBins + 1), {});
  for (int c = 0; c < channels(); ++c) {
    const std::uint32_t* counts = counts_.data() + static_cast<std::size_t>(c) * kBins;
    Tail* tails = tails_.data() + static_cast<std::size_t>(c) * (kBins + 1);
    for (int bin = kBins - 1; bin >= 0; --bin) {
      const double n = counts[bin], x = bin == 0 ? 0.0 : center(c, bin);
      tails[bin] = {tails[bin + 1].count + n, tails[bin + 1].sum + n * x, tails[bin + 1].squares + n * x * x};
    }
  }
}

double ChannelNoise::share_below(int c, double limit) const {
  const std::uint32_t* counts = counts_.data() + static_cast<std::size_t>(c) * kBins;
  const int end = std::isinf(limit) ? kBins : bin_of(static_cast<float>(limit));
  double inside = 0;
  for (int bin = 1; bin < end; ++bin) inside += counts[bin];
  return inside / static_cast<double>(count_);
}

double ChannelNoise::error(int c, double clip, double levels) const {
  const Tail* tails = tails_.data() + static_cast<std::size_t>(c) * (kBins + 1);
  const double step = clip / levels;
  // The first bins whose elements round to a step, and that lie beyond the clip; decided by their centres.
  int inside = bin_of(static_cast<float>(step / 2)), outside = bin_of(static_cast<float>(clip));
  inside += inside == 0 || center(c, inside) < step / 2 ? 1 : 0;
  outside += outside == 0 || center(c, outside) <= clip ? 1 : 0;
  const Tail &all = tails[0], &rounded = tails[inside], &cut = tails[outside];
  const double small = all.squares - rounded.squares;
  const double overload = cut.squares - 2 * clip * cut.sum + clip * clip * cut.count;
  return (std::max(0.0, small) + rounded.count * step * step / 12 + std::max(0.0, overload)) /
         static_cast<double>(count_);
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
  for (ChannelNoise& table : tables) table.finish();
  for (std::size_t i = 0; i < values.size(); ++i) {  // a value asked for twice was collected once
    const auto first = static_cast<std::size_t>(slot[index_of(values[i])]);
    if (first != i) tables[i] = tables[first];
  }
  return tables;
}

}  // namespace binade
