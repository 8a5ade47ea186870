// Where in one block of memory each buffer lives, given when it is alive.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace binade {

/// A buffer that is written at step `first` and read until step `last`, both inclusive.
struct Lifetime {
  int first = 0, last = 0;
  std::size_t bytes = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  ///< one per buffer, multiples of 64
  std::size_t bytes = 0;             ///< of the whole block
};

/// Buffers whose lifetimes overlap never share a byte. Greedy: the largest buffer first, each at the lowest offset that
/// is free for as long as it lives.
MemoryPlan plan_memory(std::span<const Lifetime> buffers);

}  // namespace binade
