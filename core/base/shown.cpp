// Escapes by bytes; UTF-8 is checked as RFC 3629 defines it.
#include "core/base/shown.hpp"

#include <fmt/format.h>

namespace binade {
namespace {

/// Bytes of the UTF-8 character that begins at `at`; 0 if there is none.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (length == 1) return 1;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F, beyond = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

/// U+0000 to U+001F, U+007F, and U+0080 to U+009F, which terminals obey too.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\t") return "\\t";
  if (bytes == "\r") return "\\r";
  std::string text;
  for (const char byte : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return text;
}

std::string escape(std::string_view text, bool keep_lines) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text, at);
    const std::string_view character = text.substr(at, length == 0 ? 1 : length);
    const bool stays =
        length > 0 && (!is_control(character) || (keep_lines && (character == "\n" || character == "\t")));
    out += stays ? std::string(character) : escaped(character);
    at += character.size();
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  if (text.size() <= most) return escape(text, false);
  // A character that is cut in two is left out.
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
  return escape(text.substr(0, end), false) + "...";
}

std::string shown(const std::filesystem::path& path) {
  return "'" + printable(path.native()) + "'";
}

std::string printable_lines(std::string_view message) {
  return escape(message, true);
}

}  // namespace binade
