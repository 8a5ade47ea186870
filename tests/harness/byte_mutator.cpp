// One to eight edits of a good file, in bytes, in words, in pieces of other good files.
#include "tests/harness/byte_mutator.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/random.hpp"

namespace binade::testing_tools {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 22;

std::size_t below(Random& random, std::size_t n) {
  return n == 0 ? 0 : static_cast<std::size_t>(random.below(n));
}

/// A place in the file, often near its beginning, where headers are.
std::size_t place(Random& random, const std::string& bytes) {
  const std::size_t place = below(random, bytes.size());
  return random.below(3) == 0 ? below(random, std::min<std::size_t>(bytes.size(), 2048)) : place;
}

void change_number(Random& random, std::string& bytes) {
  static constexpr std::uint64_t kOdd[] = {0,      1,      0x7F,       0x80,       0xFF,       0x7FFF,
                                           0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, ~0ULL};
  const std::size_t width = std::size_t{1} << random.below(4), at = place(random, bytes);
  std::uint64_t value = kOdd[random.below(std::size(kOdd))];
  if (random.below(4) == 0) value = random.next();
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

/// Exchanges a run of digits, or what stands between quotes, by a word.
void change_word(Random& random, std::string& bytes, const std::vector<std::string>& words) {
  const auto is_part = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '.';
  };
  std::size_t begin = place(random, bytes);
  while (begin < bytes.size() && !is_part(bytes[begin])) ++begin;
  std::size_t end = begin;
  while (end < bytes.size() && is_part(bytes[end])) ++end;
  bytes.replace(begin, end - begin, words[below(random, words.size())]);
}

void edit(Random& random, std::string& bytes, const std::vector<std::string>& seeds,
          const std::vector<std::string>& words) {
  const std::size_t at = place(random, bytes), length = 1 + below(random, random.below(2) == 0 ? 8 : 300);
  switch (random.below(9)) {
    case 0:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      break;
    case 1: change_number(random, bytes); break;
    case 2: bytes.erase(at, length); break;
    case 3: bytes.insert(at, bytes.substr(place(random, bytes), length)); break;
    case 4: bytes.resize(at); break;
    case 5: {
      const std::string& other = seeds[below(random, seeds.size())];
      bytes.replace(at, length, other.substr(below(random, other.size()), length));
      break;
    }
    case 6:
      if (!words.empty()) bytes.insert(at, words[below(random, words.size())]);
      break;
    default:
      if (!words.empty()) change_word(random, bytes, words);
      break;
  }
}

}  // namespace

ByteMutator::ByteMutator(std::vector<std::string> seeds, std::vector<std::string> words)
    : seeds_(std::move(seeds)), words_(std::move(words)) {
  require(!seeds_.empty(), "ByteMutator: at least one good file");
}

std::string ByteMutator::mutate(std::uint64_t seed, std::uint64_t index) const {
  Random random(seed, index);
  std::string bytes = seeds_[below(random, seeds_.size())];
  for (std::uint64_t edits = 1 + random.below(8); edits > 0; --edits) edit(random, bytes, seeds_, words_);
  if (bytes.size() > kMostBytes) bytes.resize(kMostBytes);
  return bytes;
}

}  // namespace binade::testing_tools
