// Whether predictions can be believed: every number in its range, every ranking that of its logits.
#include "core/report/predictions.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"

namespace binade {
namespace {

/// Pixels of all images together stay below this, also when a resample draws the largest image every time.
constexpr std::int64_t kMostPixels = std::int64_t{1} << 62;

[[noreturn]] void refuse(const Predictions& p, std::size_t image, const std::string& what) {
  throw DataError(fmt::format("column '{}', image '{}': {}", printable(p.method), printable(p.images[image]), what));
}

void check_size(const Predictions& p, std::string_view what, std::size_t found, std::size_t per_image) {
  const std::size_t wanted = p.hashes.size() * per_image;
  if (found == wanted) return;
  throw DataError(fmt::format("column '{}' has {} images, but {} {}; want {}", printable(p.method), p.hashes.size(),
                              found, what, wanted));
}

void check_class(const Predictions& p, std::size_t image, std::string_view what, std::int32_t found) {
  if (found < 0 || found >= p.classes) {
    refuse(p, image, fmt::format("{} is class {}; the network has classes 0 to {}", what, found, p.classes - 1));
  }
}

void check_best(const Predictions& p, std::size_t image) {
  const std::span<const std::int32_t> best(p.top5.data() + image * Predictions::kBest, Predictions::kBest);
  const auto filled = static_cast<std::size_t>(std::min(p.classes, Predictions::kBest));
  for (std::size_t k = 0; k < best.size(); ++k) {
    if (k < filled) {
      check_class(p, image, fmt::format("number {} of the best five", k + 1), best[k]);
    } else if (best[k] != -1) {
      refuse(p, image,
             fmt::format("number {} of the best is class {}, but there are {} classes", k + 1, best[k], filled));
    }
    if (k < filled && std::find(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(k), best[k]) !=
                          best.begin() + static_cast<std::ptrdiff_t>(k)) {
      refuse(p, image, fmt::format("class {} is there twice among the best five", best[k]));
    }
  }
  if (best[0] != p.top1[image]) {
    refuse(p, image, fmt::format("the best class is {}, the first of the best five {}", p.top1[image], best[0]));
  }
}

void check_logits(const Predictions& p, std::size_t image) {
  const std::span<const float> logits = p.logits.view().images(static_cast<int>(image), 1).span();
  if (std::any_of(logits.begin(), logits.end(), [](float v) { return std::isnan(v); })) {
    refuse(p, image, "a logit is NaN");
  }
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  if (best != p.top1[image]) {
    refuse(p, image,
           fmt::format("the best class is {}, but the largest logit is that of class {}", p.top1[image], best));
  }
  const auto filled = static_cast<std::size_t>(std::min(p.classes, Predictions::kBest));
  for (std::size_t k = 1; k < filled; ++k) {
    const auto logit = [&](std::size_t place) {
      return logits[static_cast<std::size_t>(p.top5[image * Predictions::kBest + place])];
    };
    if (logit(k) > logit(k - 1))
      refuse(p, image, fmt::format("number {} of the best has a lower logit than the next", k));
  }
}

void check_confusion(const Predictions& p, std::size_t image) {
  const auto size = static_cast<std::size_t>(p.classes) * static_cast<std::size_t>(p.classes);
  const std::int64_t most = kMostPixels / std::max(1, p.count());
  std::int64_t total = 0;
  for (std::size_t i = image * size; i < (image + 1) * size; ++i) {
    if (p.confusion[i] < 0) refuse(p, image, fmt::format("{} pixels of a class", p.confusion[i]));
    if (p.confusion[i] > most - total) refuse(p, image, "more pixels than any image has");
    total += p.confusion[i];
  }
}

}  // namespace

void validate(const Predictions& p) {
  if (p.classes < 1) throw DataError(fmt::format("column '{}' has {} classes", printable(p.method), p.classes));
  if (!std::isfinite(p.seconds) || p.seconds < 0) {
    throw DataError(fmt::format("column '{}' took {} seconds", printable(p.method), p.seconds));
  }
  const auto classes = static_cast<std::size_t>(p.classes);
  check_size(p, "names of images", p.images.size(), 1);
  if (!p.contents.empty()) check_size(p, "contents", p.contents.size(), 1);
  if (!p.confusion.empty()) {
    check_size(p, "pixel counts", p.confusion.size(), classes * classes);
  } else {
    check_size(p, "labels", p.labels.size(), 1);
    check_size(p, "best classes", p.top1.size(), 1);
    check_size(p, "classes among the best five", p.top5.size(), Predictions::kBest);
  }
  const bool has_logits = p.logits.count() > 0;
  if (has_logits) check_size(p, "logits", static_cast<std::size_t>(p.logits.count()), classes);
  for (std::size_t image = 0; image < p.hashes.size(); ++image) {
    if (!p.confusion.empty()) {
      check_confusion(p, image);
      continue;
    }
    check_class(p, image, "the label", p.labels[image]);
    check_class(p, image, "the best class", p.top1[image]);
    check_best(p, image);
    if (has_logits) check_logits(p, image);
  }
}

}  // namespace binade
