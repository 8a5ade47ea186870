// Counter-based random numbers: a value depends on (seed, stream, counter) alone, never on who asked before.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace binade {

/// SplitMix64's finaliser: a bijection of 64-bit words [Steele, Lea, Flood 2014].
constexpr std::uint64_t mix_bits(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// A stream of random numbers that can be copied, indexed and restored from two words.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0)
      : key_(mix_bits(seed + 0x9e3779b97f4a7c15ULL) ^
             mix_bits(stream * 0xd1342543de82ef95ULL + 0x632be59bd9b4e019ULL)) {}

  /// The `counter`-th word of the stream.
  constexpr std::uint64_t word(std::uint64_t counter) const {
    return mix_bits(mix_bits(key_ + counter * 0x9e3779b97f4a7c15ULL) ^ key_);
  }
  constexpr std::uint64_t next() { return word(counter_++); }
  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  constexpr double uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  /// Uniform integer in [0, n), n > 0.
  constexpr std::uint64_t below(std::uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }
  /// Standard normal, Box-Muller.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }
  /// Fisher-Yates; the same permutation for the same stream everywhere.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace binade
