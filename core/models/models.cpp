// Builds any network of the table: defaults, preprocessing, counts.
#include "core/models/models.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/graph/count.hpp"

namespace binade {
namespace {

void check_range(const ModelEntry& entry, std::string_view what, double value, double lo, double hi) {
  if (value >= lo && value <= hi) return;
  throw UsageError(fmt::format("model '{}': {} is {}, must be from {} to {}", entry.name, what, value, lo, hi));
}

/// ImageNet's mean and deviation of red, green and blue.
constexpr std::array<double, 3> kMean{123.675, 116.28, 103.53};
constexpr std::array<double, 3> kDeviation{58.395, 57.12, 57.375};

/// Resizes the short side to 256/224 of the crop; images for small inputs and street scenes are stretched instead.
Preprocessing preprocessing_of(InputRule rule, const Shape& input) {
  Preprocessing made;
  const int crop = std::min(input.h, input.w);
  const bool whole = crop < 100 || rule == InputRule::street;
  made.resize = whole ? Preprocessing::Resize::exact : Preprocessing::Resize::shrink;
  made.size = whole ? crop : crop * 256 / 224;
  made.crop_height = input.h;
  made.crop_width = input.w;
  if (input.c == 1) made.color = Preprocessing::Color::gray;
  switch (rule) {
    case InputRule::imagenet:
      made.mean = kMean;
      for (std::size_t i = 0; i < 3; ++i) made.scale[i] = 1 / kDeviation[i];
      break;
    case InputRule::tensorflow:
      made.mean.fill(127.5);
      made.scale.fill(1 / 127.5);
      break;
    case InputRule::caffe:
      made.color = Preprocessing::Color::bgr;
      made.mean = {103.939, 116.779, 123.68};
      break;
    case InputRule::unit: made.scale.fill(1.0 / 255); break;
    case InputRule::raw: break;
    case InputRule::street:
      made.mean.fill(128);
      made.scale.fill(1.0 / 64);
      break;
  }
  return made;
}

}  // namespace

const ModelEntry& find_model(std::string_view name) {
  return find_by_name("model", name, model_table());
}

std::int64_t published_parameters(const ModelEntry& entry, const Graph& graph) {
  return entry.counts_statistics ? count_with_statistics(graph) : count_parameters(graph);
}

Graph build_graph(const ModelEntry& entry, ModelOptions options) {
  if (options.classes <= 0) options.classes = entry.classes;
  if (options.dropout < 0) options.dropout = entry.dropout;
  if (options.input.h <= 0) options.input.h = entry.input.h;
  if (options.input.w <= 0) options.input.w = entry.input.w;
  if (options.input.c <= 0) options.input.c = entry.input.c;
  options.input.n = 1;
  check_range(entry, "width", options.width, 0.01, 16);
  check_range(entry, "dropout", options.dropout, 0, 0.99);
  check_range(entry, "classes", options.classes, 2, 1000000);
  check_range(entry, "input height", options.input.h, std::min(entry.smallest, entry.input.h), 8192);
  check_range(entry, "input width", options.input.w, std::min(entry.smallest, entry.input.w), 8192);
  if (options.width != 1 && !entry.has_width) {
    throw UsageError(fmt::format("model '{}' has no width factor (got {})", entry.name, options.width));
  }
  return entry.build(options);
}

Model build_model(std::string_view name, const ModelOptions& options) {
  const ModelEntry& entry = find_model(name);
  Model model;
  model.name = entry.name;
  model.graph = build_graph(entry, options);
  model.notes["source"] = fmt::format("zoo: {}", entry.summary);
  model.task = entry.task;
  model.preprocessing = preprocessing_of(entry.rule, model.graph.shape(model.graph.inputs().front()));
  return model;
}

}  // namespace binade
