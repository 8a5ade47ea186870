// The same image in two data sets, found by the hash of its bytes: calibration and training must not see evaluation.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace binade {

/// One image that both sets hold.
struct Overlap {
  int first, second;  ///< positions in the two lists of hashes
  friend bool operator==(const Overlap&, const Overlap&) = default;
};

/// Every image of `second` that is also in `first`, in the order of `second` (with its first place in `first`).
std::vector<Overlap> find_overlaps(std::span<const std::string> first, std::span<const std::string> second);

/// Images of one list that repeat an earlier one of the same list: `first` is the earlier place.
std::vector<Overlap> find_duplicates(std::span<const std::string> hashes);

}  // namespace binade
