// Histogram, percentile search and average, as TI's code does them.
#include "calibration/running_range.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"

namespace binade {
namespace {

constexpr double kSlowest = 1.0 / 1000;  ///< least update factor
constexpr int kBins = 256;

/// The pixels that are looked at: all, or every second in both directions.
struct Sampling {
  int first_row = 0, first_column = 0, step = 1;
};

/// Calls body(image, pixel pointer) for the sampled pixels of images [begin, end).
template <class Body>
void each_pixel(View<const float> x, const Sampling& s, std::int64_t begin, std::int64_t end, Body body) {
  const Shape& shape = x.shape;
  for (std::int64_t n = begin; n < end; ++n) {
    for (int h = s.first_row; h < shape.h; h += s.step) {
      for (int w = s.first_column; w < shape.w; w += s.step) {
        body(x.data + ((n * shape.h + h) * shape.w + w) * shape.c);
      }
    }
  }
}

struct Part {
  float min = INFINITY, max = -INFINITY;
  std::array<std::int64_t, kBins> histogram{};
};

}  // namespace

Extremes percentile_extremes(View<const float> tensor, double percent, std::uint64_t seed) {
  const Shape& shape = tensor.shape;
  Sampling sampling;
  if (percent > 0 && shape.h > 4 && shape.w > 4) {
    const Random random(seed);
    sampling = {static_cast<int>(random.word(0) & 1), static_cast<int>(random.word(1) & 1), 2};
  }
  std::vector<Part> parts(static_cast<std::size_t>(shape.n));
  parallel_for(shape.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      Part& part = parts[static_cast<std::size_t>(n)];
      each_pixel(tensor, sampling, n, n + 1, [&](const float* pixel) {
        for (int c = 0; c < shape.c; ++c) {
          part.min = std::min(part.min, pixel[c]);
          part.max = std::max(part.max, pixel[c]);
        }
      });
    }
  });
  float lowest = INFINITY, highest = -INFINITY;
  for (const Part& part : parts) {
    lowest = std::min(lowest, part.min);
    highest = std::max(highest, part.max);
  }
  const double min = static_cast<double>(lowest), max = static_cast<double>(highest);
  if (!(max > min)) return {min, max};
  const double factor = (kBins - 1) / (max - min);
  parallel_for(shape.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      Part& part = parts[static_cast<std::size_t>(n)];
      each_pixel(tensor, sampling, n, n + 1, [&](const float* pixel) {
        for (int c = 0; c < shape.c; ++c) {
          const double place = (static_cast<double>(pixel[c]) - min) * factor;
          ++part.histogram[static_cast<std::size_t>(round_real(place, Rounding::half_even))];
        }
      });
    }
  });
  std::array<std::int64_t, kBins> histogram{};
  std::int64_t total = 0;
  for (const Part& part : parts) {
    for (std::size_t i = 0; i < histogram.size(); ++i) histogram[i] += part.histogram[i];
  }
  for (const std::int64_t count : histogram) total += count;
  // From each end, the last bin up to which less than `percent` of the elements lie; the end itself if none does.
  const double limit = static_cast<double>(total) * percent / 100;
  const auto cut = [&](auto bin) {
    std::int64_t mass = 0;
    int last = 0;
    for (int i = 0; i < kBins; ++i) {
      mass += bin(i);
      if (static_cast<double>(mass) >= limit) break;
      last = i;
    }
    return last;
  };
  const int left = cut([&](int i) { return histogram[static_cast<std::size_t>(i)]; });
  const int right = cut([&](int i) { return histogram[static_cast<std::size_t>(kBins - 1 - i)]; });
  return {std::clamp(min + left / factor, min, max), std::clamp(max - right / factor, min, max)};
}

void RunningRange::add(View<const float> batch, std::uint64_t seed, double percent) {
  const Extremes now = percentile_extremes(batch, percent, seed);
  const double factor = std::max(1 / static_cast<double>(std::max<std::int64_t>(1, batches_)), kSlowest);
  min_ += factor * (now.min - min_);
  max_ += factor * (now.max - max_);
  ++batches_;
}

QuantSpec RunningRange::spec(int bits) const {
  return spec_for_clip(std::max(std::abs(min_), std::abs(max_)), bits, min_ < 0);
}

RunningRange RunningRange::of(double min, double max, std::int64_t batches) {
  RunningRange range;
  range.min_ = min;
  range.max_ = max;
  range.batches_ = batches;
  return range;
}

}  // namespace binade
