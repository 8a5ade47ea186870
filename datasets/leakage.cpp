// Overlaps by a table of hashes.
#include "datasets/leakage.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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

namespace {

/// Two looks that differ in at most kAlikeBits bits have one of these parts in common.
constexpr int kParts = kAlikeBits + 1, kPartBits = 64 / kParts;
constexpr int kLeastSetBits = 8;

std::uint64_t part_of(std::uint64_t look, int part) {
  const std::uint64_t bits = part + 1 == kParts ? look >> (part * kPartBits)
                                                : (look >> (part * kPartBits)) & ((std::uint64_t{1} << kPartBits) - 1);
  return bits * kParts + static_cast<std::uint64_t>(part);
}

bool says_something(std::uint64_t look) {
  const int set = std::popcount(look);
  return set >= kLeastSetBits && set <= 64 - kLeastSetBits;
}

}  // namespace

std::vector<Overlap> find_lookalikes(std::span<const Identity> first, std::span<const Identity> second) {
  std::unordered_set<std::string_view> contents;
  std::unordered_map<std::uint64_t, std::vector<int>> places;
  for (std::size_t i = 0; i < first.size(); ++i) {
    contents.insert(first[i].content);
    if (!says_something(first[i].look)) continue;
    for (int part = 0; part < kParts; ++part) places[part_of(first[i].look, part)].push_back(static_cast<int>(i));
  }
  std::vector<Overlap> alike;
  for (std::size_t i = 0; i < second.size(); ++i) {
    if (!says_something(second[i].look) || contents.contains(second[i].content)) continue;
    std::pair<int, int> best{kAlikeBits + 1, 0};  // bits apart, place
    for (int part = 0; part < kParts; ++part) {
      const auto found = places.find(part_of(second[i].look, part));
      if (found == places.end()) continue;
      for (const int place : found->second) {
        const int apart = std::popcount(first[static_cast<std::size_t>(place)].look ^ second[i].look);
        best = std::min(best, {apart, place});
      }
    }
    if (best.first <= kAlikeBits) alike.push_back({best.second, static_cast<int>(i)});
  }
  return alike;
}

}  // namespace binade
