// Edit distance by dynamic programming, and what is said about an unknown name.
#include "core/base/names.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace binade {
namespace {

/// Lower case, '-' as '_': differences that are hardly ever meant.
std::string plain(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return result;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  // Three rows of the table: distances from a[0, i) for i two back, one back and now.
  std::vector<int> older(columns), previous(columns), row(columns);
  for (std::size_t j = 0; j < columns; ++j) row[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(older, previous);
    std::swap(previous, row);
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j < columns; ++j) {
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], older[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string_view nearest_name(std::string_view wanted, std::span<const std::string_view> known) {
  std::string_view best;
  int best_distance = 0;
  const std::string plain_wanted = plain(wanted);
  for (const std::string_view name : known) {
    const int distance = edit_distance(plain_wanted, plain(name));
    if (2 * static_cast<std::size_t>(distance) > std::max(wanted.size(), name.size())) continue;
    if (best.empty() || distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string unknown_name(std::string_view kind, std::string_view wanted, std::span<const std::string_view> known) {
  const std::string_view nearest = nearest_name(wanted, known);
  const std::string hint = nearest.empty() ? "." : fmt::format("; did you mean '{}'?", nearest);
  return fmt::format("unknown {} '{}'{} Known: {}", kind, wanted, hint, fmt::join(known, ", "));
}

}  // namespace binade
