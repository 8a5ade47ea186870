// Wrong names: which known name was probably meant, and the sentence that says so.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"

namespace binade {

/// Fewest insertions, deletions, substitutions and swaps of neighbours that make `a` into `b` (case counts).
/// @source Damerau's distance in its optimal-string-alignment form
int edit_distance(std::string_view a, std::string_view b);

/// The known name that is nearest to `wanted`, case aside and with '-' and '_' alike; of equally near ones the first.
/// Empty if `known` is, or if even the nearest differs in more than half of the longer name: then a guess would
/// mislead.
std::string_view nearest_name(std::string_view wanted, std::span<const std::string_view> known);

/// "unknown model 'mobilnet_v2'; did you mean 'mobilenet_v2'? Known: mobilenet_v1, mobilenet_v2, ..."
std::string unknown_name(std::string_view kind, std::string_view wanted, std::span<const std::string_view> known);

/// The element of a room's table whose member `name` is `wanted`. @throws UsageError with unknown_name() for none
template <class Entry>
const Entry& find_by_name(std::string_view kind, std::string_view wanted, std::span<const Entry> table) {
  std::vector<std::string_view> known;
  for (const Entry& entry : table) {
    if (entry.name == wanted) return entry;
    known.push_back(entry.name);
  }
  throw UsageError(unknown_name(kind, wanted, known));
}

}  // namespace binade
