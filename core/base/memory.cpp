// Large blocks start at multiples of the large page, with the request to use such pages.
#include "core/base/memory.hpp"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace binade {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= 2 * kLargePage ? kLargePage : std::size_t{64}};
}

}  // namespace

void* allocate_block(std::size_t bytes) {
  void* block = ::operator new(bytes, alignment_of(bytes));
#if defined(__linux__)
  if (bytes >= 2 * kLargePage) madvise(block, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);  // a hint: may fail
#endif
  return block;
}

void free_block(void* block, std::size_t bytes) noexcept {
  ::operator delete(block, alignment_of(bytes));
}

}  // namespace binade
