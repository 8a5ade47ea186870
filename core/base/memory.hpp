// Blocks of memory that are planned once and reused: uninitialised, aligned, on large pages where they are large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace binade {

/// At least 64-byte aligned. Blocks from 4 MB on are asked to lie on pages of 2 MB, which spares the processor most
/// address translations. @throws std::bad_alloc
void* allocate_block(std::size_t bytes);
/// With the size that was asked for.
void free_block(void* block, std::size_t bytes) noexcept;

/// Elements up to the end of a cache line, so that what comes behind begins with one.
inline std::size_t in_lines(std::int64_t elements) {
  return (static_cast<std::size_t>(elements) + 15) / 16 * 16;
}

/// Owns `size()` elements that nobody has written yet. For arithmetic types.
template <class T>
class Block {
 public:
  Block() = default;
  explicit Block(std::size_t size) : data_(static_cast<T*>(allocate_block(size * sizeof(T)))), size_(size) {}
  Block(Block&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Block() {
    if (data_ != nullptr) free_block(data_, size_ * sizeof(T));
  }

  T* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace binade
