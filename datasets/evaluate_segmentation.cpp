// The evaluation loop of segmentation: scores to classes at the size of the label maps, classes to confusions.
#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "datasets/evaluate.hpp"

namespace binade {
namespace {

/// Where a pixel of the stretched line lies between two of the original.
struct Tap {
  int first = 0, second = 0;
  float part = 0;  ///< of the second
};

/// @math x = (i + 1/2) * from / to - 1/2, kept inside
std::vector<Tap> taps(int from, int to) {
  std::vector<Tap> taps(static_cast<std::size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double x = std::clamp((i + 0.5) * from / to - 0.5, 0.0, from - 1.0);
    const int first = static_cast<int>(x);
    taps[static_cast<std::size_t>(i)] = {first, std::min(first + 1, from - 1), static_cast<float>(x - first)};
  }
  return taps;
}

std::uint8_t best_of(const float* scores, int classes) {
  int best = 0;
  for (int c = 1; c < classes; ++c) {
    if (scores[c] > scores[best]) best = c;
  }
  return static_cast<std::uint8_t>(best);
}

void check_output(const Shape& output, int images, int classes) {
  if (output.n != images || output.h * output.w <= 1) {
    throw DataError(
        fmt::format("the network makes {} of {} images; wanted a map of class scores per image: is this a "
                    "segmentation network? The data set has label maps",
                    to_string(output), images));
  }
  if (output.c < classes) {
    throw DataError(fmt::format("the network has {} classes, but the data set has {}", output.c, classes));
  }
}

/// Adds the counts of one image. @shape sums: classes x classes, [label][predicted]
void count(const Pixels& labels, const Pixels& found, int classes, std::span<std::int64_t> sums) {
  for (std::int64_t i = 0; i < labels.count(); ++i) {
    if (labels[i] == kIgnored) continue;
    ++sums[static_cast<std::size_t>(labels[i]) * static_cast<std::size_t>(classes) + found[i]];
  }
}

}  // namespace

void best_labels(View<const float> scores, int classes, Pixels& best) {
  const int h = scores.shape.h, w = scores.shape.w, c = scores.shape.c;
  const int to_h = best.shape().h, to_w = best.shape().w;
  const bool same = h == to_h && w == to_w;
  const std::vector<Tap> rows = taps(h, to_h), columns = taps(w, to_w);
  const std::int64_t row_size = std::int64_t{w} * c;
  parallel_for(to_h, 8, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> line(static_cast<std::size_t>(row_size)), pixel(static_cast<std::size_t>(classes));
    for (std::int64_t y = begin; y < end; ++y) {
      std::uint8_t* out = best.data() + y * to_w;
      if (same) {
        for (int x = 0; x < w; ++x) out[x] = best_of(scores.data + y * row_size + std::int64_t{x} * c, classes);
        continue;
      }
      const Tap& row = rows[static_cast<std::size_t>(y)];
      const float *upper = scores.data + row.first * row_size, *lower = scores.data + row.second * row_size;
      for (std::size_t i = 0; i < line.size(); ++i) line[i] = upper[i] + row.part * (lower[i] - upper[i]);
      for (int x = 0; x < to_w; ++x) {
        const Tap& column = columns[static_cast<std::size_t>(x)];
        const float *left = line.data() + column.first * c, *right = line.data() + column.second * c;
        for (int k = 0; k < classes; ++k) {
          pixel[static_cast<std::size_t>(k)] = left[k] + column.part * (right[k] - left[k]);
        }
        out[x] = best_of(pixel.data(), classes);
      }
    }
  });
}

Predictions evaluate_segmentation(const Network& network, LoadedImages& images, const EvaluateOptions& options) {
  require(options.batch >= 1, "evaluate: batches of at least one image");
  const auto begin = std::chrono::steady_clock::now();
  const int total = images.count(), classes = static_cast<int>(images.dataset().classes.size());
  const auto size = static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes);
  Predictions predictions{.method = options.method, .classes = classes};
  predictions.confusion.resize(static_cast<std::size_t>(total) * size);
  LabelledPixels scratch;
  for (int first = 0; first < total; first += options.batch) {
    const int batch = std::min(options.batch, total - first);
    const View<const float> out = network(images.images(first, batch));
    check_output(out.shape, batch, classes);
    for (int i = 0; i < batch; ++i) {
      const View<const float> scores = out.images(i, 1);
      if (std::any_of(scores.span().begin(), scores.span().end(), [](float value) { return std::isnan(value); })) {
        throw DataError(fmt::format(
            "{}: the network's output for image {} holds NaN; its weights or its input are not finite, or it "
            "overflows",
            options.method, first + i));
      }
      const Pixels& labels = images.label_map(first + i, scratch);
      Pixels found(labels.shape());
      best_labels(scores, classes, found);
      count(labels, found, classes,
            std::span(predictions.confusion).subspan(static_cast<std::size_t>(first + i) * size, size));
      predictions.maps.push_back(std::move(found));
    }
    if (options.progress) options.progress(first + batch, total);
  }
  predictions.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return predictions;
}

}  // namespace binade
