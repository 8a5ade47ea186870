// Overlaps by a table of hashes.
#include "datasets/leakage.hpp"

#include <cstddef>
#include <string_view>
#include <unordered_map>

namespace binade {

std::vector<Overlap> find_overlaps(std::span<const std::string> first, std::span<const std::string> second) {
  std::unordered_map<std::string_view, int> places;
  for (std::size_t i = 0; i < first.size(); ++i) places.emplace(first[i], static_cast<int>(i));
  std::vector<Overlap> overlaps;
  for (std::size_t i = 0; i < second.size(); ++i) {
    const auto found = places.find(second[i]);
    if (found != places.end()) overlaps.push_back({found->second, static_cast<int>(i)});
  }
  return overlaps;
}

std::vector<Overlap> find_duplicates(std::span<const std::string> hashes) {
  std::unordered_map<std::string_view, int> places;
  std::vector<Overlap> duplicates;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const auto [place, is_new] = places.emplace(hashes[i], static_cast<int>(i));
    if (!is_new) duplicates.push_back({place->second, static_cast<int>(i)});
  }
  return duplicates;
}

}  // namespace binade
