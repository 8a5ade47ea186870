// Units by names and contents.
#include "core/report/units.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <unordered_map>

#include "core/base/error.hpp"

namespace binade {
namespace {

constexpr int kBlock = 10, kLeastBlocks = 8;
constexpr std::size_t kLeastDigits = 3, kMostDigits = 15;

}  // namespace

Copies copies_of(std::span<const std::string> hashes) {
  std::unordered_map<std::string_view, int> known;
  Copies copies;
  for (const std::string& hash : hashes) {
    const auto [place, is_new] = known.emplace(hash, static_cast<int>(copies.count.size()));
    if (is_new) copies.count.push_back(0);
    ++copies.count[static_cast<std::size_t>(place->second)];
    copies.content.push_back(place->second);
  }
  return copies;
}

Frame frame_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const auto is_digit = [&](std::size_t i) { return std::isdigit(static_cast<unsigned char>(path[i])) != 0; };
  for (std::size_t end = path.size(); end > name;) {
    if (!is_digit(end - 1)) {
      --end;
      continue;
    }
    std::size_t begin = end;
    while (begin > name && is_digit(begin - 1)) --begin;
    if (end - begin >= kLeastDigits && end - begin <= kMostDigits) {
      return {path.substr(0, begin), std::stoll(path.substr(begin, end - begin))};
    }
    end = begin;
  }
  return {path, -1};
}

Units bootstrap_units(std::span<const std::string> images, std::span<const std::string> hashes, int block) {
  require(images.size() == hashes.size(), "bootstrap_units: a hash per image");
  require(block >= 0, "bootstrap_units: blocks of at least one frame");
  const Copies copies = copies_of(hashes);
  if (block == 0) block = std::clamp(static_cast<int>(copies.count.size()) / kLeastBlocks, 1, kBlock);
  // The first place of every content stands for its copies.
  std::map<std::string, std::vector<std::pair<long long, int>>> sequences;
  std::vector<int> unit(copies.count.size(), -1);
  Units units;
  std::vector<bool> seen(copies.count.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const int content = copies.content[i];
    if (seen[static_cast<std::size_t>(content)]) continue;
    seen[static_cast<std::size_t>(content)] = true;
    Frame frame = frame_of(images[i]);
    if (frame.number < 0) {
      unit[static_cast<std::size_t>(content)] = units.count++;
    } else {
      sequences[std::move(frame.sequence)].emplace_back(frame.number, content);
    }
  }
  for (auto& [sequence, frames] : sequences) {
    std::sort(frames.begin(), frames.end());
    const auto length = static_cast<int>(frames.size());
    // As many blocks as are full; what is left over is spread among them.
    const int blocks = std::max(1, length / block);
    for (int f = 0; f < length; ++f) {
      const int of_block = static_cast<int>(static_cast<long long>(f) * blocks / length);
      unit[static_cast<std::size_t>(frames[static_cast<std::size_t>(f)].second)] = units.count + of_block;
    }
    units.count += blocks;
    units.in_order = units.in_order || (block > 1 && blocks > 1);
  }
  for (const int content : copies.content) units.unit.push_back(unit[static_cast<std::size_t>(content)]);
  return units;
}

}  // namespace binade
