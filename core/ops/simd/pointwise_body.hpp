// The 1x1 kernel, written once for a vector type V and compiled once per instruction set.
//
// A tile of pixels x vectors of channels is kept in registers; pixels are cut into blocks that stay in the first cache
// while all channels pass over them.
#pragma once

#include "core/ops/simd/pointwise.hpp"

namespace binade::simd {
namespace {

template <class V, int kRows, int kVectors, bool kPart>
void tile(const Pointwise& a, std::int64_t pixel, int channel, int n) {
  typename V::Reg acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) {
    typename V::Reg start = V::set(0);
    if (a.b != nullptr) {
      const float* b = a.b + channel + j * V::width;
      start = kPart && j == kVectors - 1 ? V::load(b, n) : V::load(b);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) acc[i][j] = start;
  }
  const std::int64_t depth = a.depth;
  const float* x = a.x + pixel * depth;
  const float* w = a.w + channel * depth;
  for (std::int64_t k = 0; k < depth; ++k, ++x, w += V::width) {
    typename V::Reg weights[kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) weights[j] = V::load(w + j * depth * V::width);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const typename V::Reg value = V::set(x[i * depth]);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) acc[i][j] = V::fma(value, weights[j], acc[i][j]);
    }
  }
  finish<V, kRows, kVectors, kPart>(acc, a.epilogue, a.y, pixel * a.channels + channel, a.channels, n);
}

template <class V, int kRows, int kVectors, bool kPart>
inline std::int64_t rows(const Pointwise& a, std::int64_t pixel, std::int64_t end, int channel, int n) {
  for (; pixel + kRows <= end; pixel += kRows) tile<V, kRows, kVectors, kPart>(a, pixel, channel, n);
  return pixel;
}

/// kVectors vectors of channels from `channel` on, over pixels [pixel, end).
template <class V, int kVectors, bool kPart>
void panel(const Pointwise& a, std::int64_t pixel, std::int64_t end, int channel, int n) {
  constexpr int kFull = V::kAccumulators / kVectors < 16 ? V::kAccumulators / kVectors : 16;
  pixel = rows<V, kFull, kVectors, kPart>(a, pixel, end, channel, n);
  if constexpr (kFull > 4) pixel = rows<V, 4, kVectors, kPart>(a, pixel, end, channel, n);
  if constexpr (kFull > 2) pixel = rows<V, 2, kVectors, kPart>(a, pixel, end, channel, n);
  rows<V, 1, kVectors, kPart>(a, pixel, end, channel, n);
}

template <class V, int kVectors>
inline void some_panel(const Pointwise& a, std::int64_t pixel, std::int64_t end, int channel) {
  const int n = a.channels - channel - (kVectors - 1) * V::width;
  if (n >= V::width) return panel<V, kVectors, false>(a, pixel, end, channel, 0);
  panel<V, kVectors, true>(a, pixel, end, channel, n);
}

/// How many vectors the next panel takes: as many as fit, but never so that a single one is left.
template <class V>
inline int panel_width(int left) {
  if (left <= V::kMaxVectors) return left;
  return V::kMaxVectors > 2 && left % V::kMaxVectors == 1 ? V::kMaxVectors - 1 : V::kMaxVectors;
}

template <class V>
inline void block(const Pointwise& a, std::int64_t pixel, std::int64_t end) {
  const int vectors = (a.channels + V::width - 1) / V::width;
  for (int first = 0; first < vectors;) {
    const int width = panel_width<V>(vectors - first);
    const int channel = first * V::width;
    if constexpr (V::kMaxVectors >= 4) {
      if (width == 4) some_panel<V, 4>(a, pixel, end, channel);
      if (width == 3) some_panel<V, 3>(a, pixel, end, channel);
    }
    if (width == 2) some_panel<V, 2>(a, pixel, end, channel);
    if (width == 1) some_panel<V, 1>(a, pixel, end, channel);
    first += width;
  }
}

template <class V>
void run(const Pointwise& a) {
  constexpr std::int64_t kBlockFloats = 4096, kLeast = 48;  // 16 KB of x; below 48 pixels reading w would dominate
  std::int64_t wanted = kBlockFloats / a.depth;
  if (wanted < kLeast) wanted = kLeast;
  const std::int64_t blocks = a.pixels < wanted ? 1 : (a.pixels + wanted / 2) / wanted;
  const std::int64_t size = blocks == 1 ? a.pixels : ((a.pixels + blocks - 1) / blocks + 23) / 24 * 24;
  for (std::int64_t pixel = 0; pixel < a.pixels; pixel += size) {
    block<V>(a, pixel, pixel + size < a.pixels ? pixel + size : a.pixels);
  }
}

template <class V>
void sweep(const float* x, float* y, std::int64_t count, const Epilogue& epilogue) {
  constexpr int kVectors = 4;
  std::int64_t i = 0;
  for (; i + kVectors * V::width <= count; i += kVectors * V::width) {
    typename V::Reg acc[1][kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[0][v] = V::load(x + i + v * V::width);
    finish<V, 1, kVectors, false>(acc, epilogue, y, i, 0, 0);
  }
  for (; i < count; i += V::width) {
    const int n = count - i < V::width ? static_cast<int>(count - i) : V::width;
    typename V::Reg acc[1][1];
    if (n == V::width) {
      acc[0][0] = V::load(x + i);
      finish<V, 1, 1, false>(acc, epilogue, y, i, 0, 0);
    } else {
      acc[0][0] = V::load(x + i, n);
      finish<V, 1, 1, true>(acc, epilogue, y, i, 0, n);
    }
  }
}

}  // namespace
}  // namespace binade::simd
