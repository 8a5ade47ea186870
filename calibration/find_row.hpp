// Looking a name up in a table of the library and in the rows that a program adds to it.
#pragma once

#include <array>
#include <string>

#include "core/base/names.hpp"

namespace binade {

/// The row called `wanted` in the first table (the library's) or the second (a program's own).
/// @throws UsageError with unknown_name() for none, and if both tables, or two rows of one, have the name
template <class Entry>
const Entry& find_row(std::string_view kind, std::string_view wanted,
                      const std::array<std::span<const Entry>, 2>& tables) {
  const Entry* found = nullptr;
  std::vector<std::string_view> known;
  for (const std::span<const Entry> table : tables) {
    for (const Entry& entry : table) {
      known.push_back(entry.name);
      if (entry.name != wanted) continue;
      if (found != nullptr) {
        throw UsageError("there are two of the name '" + std::string(wanted) + "' (" + std::string(kind) +
                         "); give yours a name that the library's table does not have");
      }
      found = &entry;
    }
  }
  if (found == nullptr) throw UsageError(unknown_name(kind, wanted, known));
  return *found;
}

}  // namespace binade
