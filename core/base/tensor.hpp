// Tensors: four extents in NHWC order, views that do not own and aligned storage that does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace binade {

/// Four extents, innermost last. Activations are N H W C; convolution weights are stored as
/// n = output channels, h, w = kernel, c = input channels / groups (OHWI); vectors as {1, 1, 1, c}.
struct Shape {
  int n = 1, h = 1, w = 1, c = 1;

  std::int64_t count() const { return std::int64_t{n} * h * w * c; }
  /// All extents but the channels: how many channel vectors the tensor holds.
  std::int64_t pixels() const { return std::int64_t{n} * h * w; }
  Shape with_batch(int batch) const { return {batch, h, w, c}; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

/// "1x224x224x3"
inline std::string to_string(const Shape& s) {
  return std::to_string(s.n) + "x" + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" + std::to_string(s.c);
}

/// A dense tensor somewhere else. A null view means "absent" or "not wanted".
template <class T>
struct View {
  T* data = nullptr;
  Shape shape;

  std::int64_t count() const { return shape.count(); }
  std::span<T> span() const { return {data, static_cast<std::size_t>(shape.count())}; }
  explicit operator bool() const { return data != nullptr; }
  operator View<const T>() const { return {data, shape}; }  // NOLINT(google-explicit-constructor)
  /// The part that holds images [first, first + count).
  View images(int first, int images) const {
    const std::int64_t stride = shape.count() / (shape.n == 0 ? 1 : shape.n);
    return {data + first * stride, shape.with_batch(images)};
  }
};

/// 64-byte aligned allocation: a cache line, and a whole AVX-512 register.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* p, std::size_t) { ::operator delete (p, std::align_val_t{64}); }
  friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) { return true; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// A dense tensor that owns its elements; copies are deep.
template <class T>
class Tensor {
 public:
  Tensor() : Tensor(Shape{0, 0, 0, 0}) {}
  explicit Tensor(Shape shape, T value = T{}) : shape_(shape), data_(static_cast<std::size_t>(shape.count()), value) {}
  Tensor(Shape shape, std::span<const T> values) : shape_(shape), data_(values.begin(), values.end()) {}

  const Shape& shape() const { return shape_; }
  std::int64_t count() const { return static_cast<std::int64_t>(data_.size()); }
  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  std::span<T> span() { return data_; }
  std::span<const T> span() const { return data_; }
  T& operator[](std::int64_t i) { return data_[static_cast<std::size_t>(i)]; }
  const T& operator[](std::int64_t i) const { return data_[static_cast<std::size_t>(i)]; }
  View<T> view() { return {data(), shape_}; }
  View<const T> view() const { return {data(), shape_}; }
  /// Changes the extents; the contents are kept only as far as the linear order goes.
  void resize(Shape shape) {
    shape_ = shape;
    data_.resize(static_cast<std::size_t>(shape.count()));
  }
  friend bool operator==(const Tensor&, const Tensor&) = default;

 private:
  Shape shape_;
  AlignedVector<T> data_;
};

/// A vector of channels, shape {1, 1, 1, c}.
inline Shape channel_shape(int c) {
  return {1, 1, 1, c};
}

}  // namespace binade
