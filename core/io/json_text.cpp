// Counts brackets outside of strings: that is all the structure a limit needs.
#include "core/io/json_text.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace binade {
namespace {

/// Values take some 50 bytes of memory each, however short their text is.
constexpr std::size_t kMostValues = std::size_t{1} << 23;

struct Structure {
  int depth = 0;           ///< the deepest
  std::size_t values = 1;  ///< at most so many
};

Structure structure_of(std::string_view text) {
  Structure structure;
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ',' || c == ':' || c == '[' || c == '{') ++structure.values;
    if (c == '[' || c == '{') structure.depth = std::max(structure.depth, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return structure;
}

}  // namespace

bool is_flat_json(std::string_view text) {
  return structure_of(text).depth <= kMostJsonDepth;
}

std::string json_text_fault(std::string_view text) {
  if (text.size() > kMostJsonBytes)
    return fmt::format(" has {} bytes; at most {} are read", text.size(), kMostJsonBytes);
  const Structure structure = structure_of(text);
  if (structure.depth > kMostJsonDepth) {
    return fmt::format(" has {} lists inside each other; at most {} are read", structure.depth, kMostJsonDepth);
  }
  if (structure.values > kMostValues) {
    return fmt::format(" has {} values; at most {} are read", structure.values, kMostValues);
  }
  return {};
}

}  // namespace binade
