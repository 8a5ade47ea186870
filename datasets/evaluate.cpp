// The evaluation loop.
#include "datasets/evaluate.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "datasets/metrics.hpp"

namespace binade {
namespace {

/// Sizes the result at the first batch; later ones must agree.
void accept_shape(const Shape& output, int images, std::span<const int> labels, Predictions& predictions) {
  if (output.n != images || output.h != 1 || output.w != 1 || output.c < 1) {
    throw DataError(
        fmt::format("the network makes {} of {} images; wanted one vector of class scores per image "
                    "({}x1x1xclasses): is this a classification network?",
                    to_string(output), images, images));
  }
  if (predictions.classes != 0) {
    require(predictions.classes == output.c, "evaluate: the number of classes changed between batches");
    return;
  }
  predictions.classes = output.c;
  predictions.logits.resize({static_cast<int>(labels.size()), 1, 1, output.c});
  std::vector<std::string> offenders;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= output.c) offenders.push_back(fmt::format("image {}: label {}", i, labels[i]));
  }
  if (!offenders.empty()) {
    throw DataError(fmt::format("the network has {} classes, but {} images have another label{}", output.c,
                                offenders.size(), list_of(offenders)));
  }
}

}  // namespace

Predictions evaluate(const Network& network, ImageSource& images, std::span<const int> labels,
                     const EvaluateOptions& options) {
  const int total = images.count();
  require(static_cast<std::size_t>(total) == labels.size(), "evaluate: one label per image");
  require(options.batch >= 1, "evaluate: batches of at least one image");
  const auto begin = std::chrono::steady_clock::now();
  Predictions predictions;
  predictions.method = options.method;
  predictions.labels.assign(labels.begin(), labels.end());
  predictions.top1.resize(labels.size());
  predictions.top5.resize(labels.size() * Predictions::kBest);
  for (int first = 0; first < total; first += options.batch) {
    const int count = std::min(options.batch, total - first);
    const View<const float> out = network(images.images(first, count));
    accept_shape(out.shape, count, labels, predictions);
    const auto classes = static_cast<std::size_t>(predictions.classes);
    for (int i = 0; i < count; ++i) {
      const auto image = static_cast<std::size_t>(first + i);
      const std::span<const float> logits = out.span().subspan(static_cast<std::size_t>(i) * classes, classes);
      if (std::any_of(logits.begin(), logits.end(), [](float value) { return std::isnan(value); })) {
        throw DataError(
            fmt::format("{}: the network's output for image {} holds NaN; its weights or its input are not "
                        "finite, or it overflows",
                        options.method, image));
      }
      std::copy(logits.begin(), logits.end(), predictions.logits.data() + image * classes);
      const std::span best = std::span(predictions.top5).subspan(image * Predictions::kBest, Predictions::kBest);
      best_classes(logits, best);
      predictions.top1[image] = best[0];
    }
    if (options.progress) options.progress(first + count, total);
  }
  predictions.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return predictions;
}

Predictions evaluate(const Network& network, LoadedImages& images, const EvaluateOptions& options) {
  Predictions predictions = images.segmentation() ? evaluate_segmentation(network, images, options)
                                                  : evaluate(network, images, images.labels(), options);
  for (const DatasetItem& item : images.dataset().items) predictions.images.push_back(item.path);
  predictions.hashes = images.hashes();
  predictions.contents = contents_of(images.identities());
  return predictions;
}

}  // namespace binade
