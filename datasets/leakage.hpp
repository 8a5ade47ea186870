// The same image in two data sets, found by its decoded pixels, or its look: calibration and training must not see
// evaluation.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "datasets/identity.hpp"

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

/// Images of `second` that look like one of `first` (at most kAlikeBits bits apart) and are not equal to any of it, in
/// the order of `second`, with the first of the closest. Images without any detail, whose looks say nothing, are left
/// out.
std::vector<Overlap> find_lookalikes(std::span<const Identity> first, std::span<const Identity> second);

}  // namespace binade
