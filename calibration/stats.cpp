// Streaming statistics of a tensor.
#include "calibration/stats.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/fixed_point.hpp"

namespace binade {

void ExactSum::add(double x) {
  require(!std::isnan(x), "ExactSum: a term is not a number");
  if (!(std::abs(x) < 0x1p62)) {
    throw DataError(fmt::format(
        "a tensor holds values whose squares reach {:.3g}; nothing sensible comes of quantizing that: has the "
        "network been trained (running statistics of its batch norms, too), and does it get the input that "
        "it was trained with?",
        x));
  }
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);  // x = mantissa * 2^exponent
  const auto digits = static_cast<std::int64_t>(std::ldexp(mantissa, 53));
  const int shift = exponent - 53 + 64;
  if (shift >= 0) {
    units_ += static_cast<Units>(digits) * (static_cast<Units>(1) << shift);
  } else if (shift > -63) {
    units_ += digits >> -shift;
  }
}

double ExactSum::value() const {
  return std::ldexp(static_cast<double>(units_), -64);
}

TensorStats TensorStats::of(View<const float> tensor) {
  TensorStats stats;
  stats.add_image({tensor.data, {1, 1, static_cast<int>(tensor.shape.pixels()), tensor.shape.c}});
  return stats;
}

void TensorStats::add(View<const float> tensor) {
  for (int i = 0; i < tensor.shape.n; ++i) add_image(tensor.images(i, 1));
}

void TensorStats::add_image(View<const float> tensor) {
  const auto channels = static_cast<std::size_t>(tensor.shape.c);
  const std::int64_t pixels = tensor.shape.pixels();
  if (pixels == 0 || channels == 0) return;
  if (channels_.empty()) channels_.resize(channels);
  require(channels_.size() == channels, "TensorStats: the number of channels changed");
  std::vector<float> low(tensor.data, tensor.data + channels), high = low;
  std::vector<double> sum(channels, 0.0), squares(channels, 0.0);
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* x = tensor.data + p * tensor.shape.c;
    for (std::size_t c = 0; c < channels; ++c) {
      low[c] = x[c] < low[c] ? x[c] : low[c];
      high[c] = x[c] > high[c] ? x[c] : high[c];
      sum[c] += static_cast<double>(x[c]);
      squares[c] += static_cast<double>(x[c]) * static_cast<double>(x[c]);
    }
  }
  const float image_min = *std::min_element(low.begin(), low.end());
  const float image_max = *std::max_element(high.begin(), high.end());
  const bool first = count_ == 0;
  for (std::size_t c = 0; c < channels; ++c) {
    ChannelStats& channel = channels_[c];
    channel.min = first ? low[c] : std::min(channel.min, low[c]);
    channel.max = first ? high[c] : std::max(channel.max, high[c]);
    channel.sum.add(sum[c]);
    channel.sum_of_squares.add(squares[c]);
  }
  min_ = first ? image_min : std::min(min_, image_min);
  max_ = first ? image_max : std::max(max_, image_max);
  const double largest = std::max(std::abs(static_cast<double>(image_min)), std::abs(static_cast<double>(image_max)));
  require(std::isfinite(largest), "TensorStats: an element is not finite");
  if (histogram_.empty()) histogram_.assign(kBins, 0);
  if (largest > 0) {
    int exponent = 0;
    static_cast<void>(std::frexp(largest, &exponent));  // largest < 2^exponent
    widen_to(exponent);
  }
  const auto to_bins = static_cast<float>(std::ldexp(kBins / 2, -exponent_));
  for (std::int64_t i = 0; i < tensor.count(); ++i) {
    const int bin = static_cast<int>(std::floor(tensor.data[i] * to_bins)) + kBins / 2;
    ++histogram_[static_cast<std::size_t>(bin)];
  }
  count_ += tensor.count();
}

void TensorStats::widen_to(int exponent) {
  for (; exponent_ < exponent; ++exponent_) {
    if (count_ == 0) {
      exponent_ = exponent;
      return;
    }
    // Each bin is the union of two old ones, counted from zero: an exact merge.
    std::vector<std::int64_t> wider(kBins, 0);
    for (int bin = 0; bin < kBins; ++bin) {
      const int from_zero = bin - kBins / 2;
      const int merged = (from_zero >= 0 ? from_zero / 2 : -((1 - from_zero) / 2)) + kBins / 2;
      wider[static_cast<std::size_t>(merged)] += histogram_[static_cast<std::size_t>(bin)];
    }
    histogram_ = std::move(wider);
  }
}

void TensorStats::merge(const TensorStats& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  require(channels_.size() == other.channels_.size(), "TensorStats: merging different numbers of channels");
  for (std::size_t c = 0; c < channels_.size(); ++c) {
    channels_[c].min = std::min(channels_[c].min, other.channels_[c].min);
    channels_[c].max = std::max(channels_[c].max, other.channels_[c].max);
    channels_[c].sum.merge(other.channels_[c].sum);
    channels_[c].sum_of_squares.merge(other.channels_[c].sum_of_squares);
  }
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  TensorStats widened = other;
  widen_to(other.exponent_);
  widened.widen_to(exponent_);
  for (std::size_t i = 0; i < histogram_.size(); ++i) histogram_[i] += widened.histogram_[i];
  count_ += other.count_;
}

double TensorStats::max_abs() const {
  return std::max(std::abs(static_cast<double>(min_)), std::abs(static_cast<double>(max_)));
}

double TensorStats::bin_width() const {
  return std::ldexp(2.0 / kBins, exponent_);
}

double TensorStats::bin_center(int bin) const {
  return (bin - kBins / 2 + 0.5) * bin_width();
}

std::int64_t TensorStats::count_per_channel() const {
  return channels_.empty() ? 0 : count_ / static_cast<std::int64_t>(channels_.size());
}

}  // namespace binade
