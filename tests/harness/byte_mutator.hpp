// Damaged files of any kind: bytes of good ones, changed by a random number generator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace binade::testing_tools {

class ByteMutator {
 public:
  /// `words` are put in and exchanged whole: numbers, names, brackets, markers.
  ByteMutator(std::vector<std::string> seeds, std::vector<std::string> words);

  /// The `index`-th damaged file of a seed: the same, whoever asks.
  std::string mutate(std::uint64_t seed, std::uint64_t index) const;
  std::size_t seed_files() const { return seeds_.size(); }

 private:
  std::vector<std::string> seeds_, words_;
};

}  // namespace binade::testing_tools
