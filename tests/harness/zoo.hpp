// Networks of the zoo as small as they go, so that tests over the whole table stay quick.
#pragma once

#include <algorithm>
#include <map>
#include <string_view>

#include "core/graph/count.hpp"
#include "core/models/models.hpp"

namespace binade::test {

/// More parameters than a test over the table should draw.
inline bool is_large(const ModelEntry& entry) {
  static std::map<std::string_view, bool> known;  // counting takes as much memory as the network
  const auto found = known.find(entry.name);
  if (found != known.end()) return found->second;
  return known[entry.name] = count_parameters(build_graph(entry, {.random = false})) > 5'000'000;
}

/// An eighth of the channels for large networks that have a width.
inline ModelOptions narrow_options(const ModelEntry& entry) {
  return {.width = entry.has_width && is_large(entry) ? 0.125 : 1};
}

/// That, on an input that costs little to run: 64 pixels, or as many as the network wants.
inline ModelOptions small_options(const ModelEntry& entry) {
  ModelOptions options = narrow_options(entry);
  const int extent = std::max(64, entry.smallest);
  options.input = {1, std::min(entry.input.h, extent), std::min(entry.input.w, extent), entry.input.c};
  if (entry.task == Task::segmentation) options.input.w += 32;  // no square, so that axes cannot be mistaken
  return options;
}

}  // namespace binade::test
