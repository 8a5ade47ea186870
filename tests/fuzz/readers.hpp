// Every reader of foreign bytes as something to be fuzzed: where its inputs begin, and what is done with one.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace binade::fuzz {

struct Reader {
  std::string_view name, summary;
  std::vector<std::string> (*seeds)();  ///< good inputs
  std::vector<std::string> (*words)();  ///< pieces that mean something to this reader
  /// Reads the input, and uses what is accepted as far as that is cheap. May throw DataError and UsageError, nothing
  /// else. `folder` is for files, and empty before.
  void (*read)(const std::string& input, const std::filesystem::path& folder);
};

std::span<const Reader> readers();

}  // namespace binade::fuzz
