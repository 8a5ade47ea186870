// JSON that others wrote: parsed only if it is small and flat enough to be walked, quoted only in part.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"

namespace binade {

inline constexpr std::size_t kMostJsonBytes = std::size_t{1} << 26;  ///< a description is not longer
inline constexpr int kMostJsonDepth = 64;  ///< of lists and objects inside each other: printing and copying recurse

/// Why a text is too long, too deeply nested or has too many values to be parsed; empty if it is none of these.
std::string json_text_fault(std::string_view text);

/// Whether lists and objects lie inside each other no deeper than kMostJsonDepth.
bool is_flat_json(std::string_view text);

/// @throws DataError if the text is no JSON, too long or nested too deeply
template <class Json = nlohmann::json>
Json parse_json(std::string_view text, std::string_view what) {
  if (const std::string fault = json_text_fault(text); !fault.empty()) throw DataError(std::string(what) + fault);
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw DataError(std::string(what) + " is not JSON");
  return json;
}

/// A value as messages quote it: on one line, no longer than a few words.
template <class Json>
std::string quoted(const Json& json) {
  constexpr std::size_t kMost = 80;
  if (json.is_structured()) return json.is_array() ? "a list" : "an object";
  return printable(json.dump(-1, ' ', false, Json::error_handler_t::replace), kMost);
}

}  // namespace binade
