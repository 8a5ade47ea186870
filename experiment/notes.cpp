// Footnotes about images: assumed preprocessing, numbers that cannot be meant, classes that label maps lack.
#include "experiment/notes.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace binade {
namespace {

/// Pixels of every class in the label maps, and those that are ignored, last.
std::vector<std::int64_t> label_pixels(LoadedImages& images) {
  std::vector<std::int64_t> pixels(images.dataset().classes.size() + 1);
  LabelledPixels scratch;
  for (int i = 0; i < images.count(); ++i) {
    for (const std::uint8_t label : images.label_map(i, scratch).span()) {
      ++pixels[std::min<std::size_t>(label, pixels.size() - 1)];
    }
  }
  return pixels;
}

}  // namespace

std::vector<std::string> preprocessing_notes(const Model& model) {
  std::vector<std::string> notes;
  const auto assumed = model.notes.find("preprocessing");
  if (assumed != model.notes.end() && assumed->second.starts_with("assumed")) {
    notes.push_back(fmt::format("Preprocessing is {}, since the file of the network does not say it: {}.",
                                assumed->second, to_string(model.preprocessing)));
  }
  if (const auto offset = model.notes.find("class_offset_applied"); offset != model.notes.end()) {
    notes.push_back(fmt::format("Classes: {}.", offset->second));
  }
  const Preprocessing& p = model.preprocessing;
  const bool small_mean = std::any_of(p.mean.begin(), p.mean.end(), [](double mean) { return mean > 0 && mean < 1; });
  const bool large_scale = std::any_of(p.scale.begin(), p.scale.end(), [](double scale) { return scale > 1; });
  if (small_mean && large_scale) {
    notes.push_back(
        "Alarm: a mean below 1 beside a scale above 1 is meant for pixels of 0..1, but pixels here are 0..255: give "
        "torchvision's numbers as --mean01 and --std01.");
  }
  return notes;
}

void note_missing_labels(LoadedImages& images, std::vector<std::string>& notes) {
  constexpr double kManyIgnored = 0.25;
  const std::vector<std::int64_t> pixels = label_pixels(images);
  const std::vector<std::string>& classes = images.dataset().classes;
  std::vector<std::string> absent;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (pixels[c] == 0) absent.push_back(classes[c]);
  }
  const auto total = static_cast<double>(std::accumulate(pixels.begin(), pixels.end(), std::int64_t{0}));
  const double ignored = total == 0 ? 0 : static_cast<double>(pixels.back()) / total;
  if (!absent.empty()) {
    notes.push_back(fmt::format("{} of {} classes are in no label map and not in the mean: {}.", absent.size(),
                                classes.size(), fmt::join(absent, ", ")));
  }
  if (ignored > kManyIgnored) {
    notes.push_back(fmt::format(
        "{}{:.1f} % of the pixels have no class and are ignored{}.", absent.empty() ? "" : "Alarm: ", 100 * ignored,
        absent.empty() ? "" : "; where masks mark a class with 255, give its value in the data set's list of classes"));
  }
}

}  // namespace binade
