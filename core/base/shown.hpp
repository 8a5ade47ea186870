// Names and texts from outside as messages may print them: no control characters, no second line, no megabytes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace binade {

/// The text with every control character as an escape ("\n", "\x1b") and every byte that is no UTF-8 as "\xNN"; what
/// is longer than `most` bytes is cut and ends in "...".
std::string printable(std::string_view text, std::size_t most = 4096);

/// "'folder/file.png'": a path in quotes, printable.
std::string shown(const std::filesystem::path& path);

/// A whole message: printable, but its line ends and tabulators stay.
std::string printable_lines(std::string_view message);

}  // namespace binade
