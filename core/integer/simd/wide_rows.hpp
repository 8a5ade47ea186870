// Elementwise operations in loops that compilers vectorize; compiled once for each instruction set.
#pragma once

#include "core/integer/simd/wide_finish.hpp"

namespace binade::integer {
namespace {

inline void load_row(const CodeRow& row, std::int64_t first, int count, std::int32_t* codes) {
  if (row.words) {
    std::int16_t words[kWideRow];
    __builtin_memcpy(words, row.data + 2 * first, 2 * static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) codes[i] = words[i] - row.zero;
  } else {
    const std::uint8_t* bytes = row.data + first;
    for (int i = 0; i < count; ++i) codes[i] = bytes[i] - row.zero;
  }
}

inline std::uint8_t* row_place(const WideFinish& finish, std::uint8_t* out, std::int64_t first) {
  return out + (finish.words ? 2 * first : first);
}

inline int row_count(std::int64_t count, std::int64_t first) {
  return count - first < kWideRow ? static_cast<int>(count - first) : kWideRow;
}

inline void widen(const std::uint8_t* bytes, std::int32_t zero, std::int16_t* words, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) words[i] = static_cast<std::int16_t>(bytes[i] - zero);
}

inline void pair(const WidePair& p) {
  std::int32_t a[kWideRow], b[kWideRow];
  std::int64_t acc[kWideRow];
  const std::int32_t factor_a = p.narrow ? 1 << p.shift_a : 0, factor_b = p.narrow ? 1 << p.shift_b : 0;
  for (std::int64_t first = 0; first < p.count; first += kWideRow) {
    const int count = row_count(p.count, first);
    std::uint8_t* out = row_place(p.finish, p.out, first);
    load_row(p.a, first, count, a);
    load_row(p.b, first, count, b);
    if (p.narrow) {
      if (p.product) {
        for (int i = 0; i < count; ++i) a[i] *= b[i];
      } else {
        for (int i = 0; i < count; ++i) a[i] = a[i] * factor_a + b[i] * factor_b;
      }
      finish_narrow(p.finish, a, out, count);
      continue;
    }
    const std::int64_t wide_a = std::int64_t{1} << p.shift_a, wide_b = std::int64_t{1} << p.shift_b;
    if (p.product) {
      for (int i = 0; i < count; ++i) acc[i] = std::int64_t{a[i]} * b[i];
    } else {
      for (int i = 0; i < count; ++i) acc[i] = a[i] * wide_a + b[i] * wide_b;
    }
    finish_any(p.finish, acc, static_cast<int>(first), out, count);
  }
}

inline void blend(const WideBlend& b) {
  std::int32_t codes[kWideRow], sums[kWideRow];
  std::int64_t acc[kWideRow];
  for (std::int64_t first = 0; first < b.count; first += kWideRow) {
    const int count = row_count(b.count, first);
    std::uint8_t* out = row_place(b.finish, b.out, first);
    for (int i = 0; i < count; ++i) sums[i] = 0, acc[i] = 0;
    for (int t = 0; t < b.terms; ++t) {
      const std::int32_t weight = b.weight[t];
      load_row(b.in[t], first, count, codes);
      if (b.narrow) {
        for (int i = 0; i < count; ++i) sums[i] += codes[i] * weight;
      } else {
        for (int i = 0; i < count; ++i) acc[i] += std::int64_t{codes[i]} * weight;
      }
    }
    if (b.narrow) {
      finish_narrow(b.finish, sums, out, count);
    } else {
      finish_any(b.finish, acc, static_cast<int>(first), out, count);
    }
  }
}

template <class T>
inline void max_of(const std::uint8_t* const* in, int count, std::uint8_t* out, int channels) {
  T most[kWideRow], row[kWideRow];
  for (int first = 0; first < channels; first += kWideRow) {
    const int n = row_count(channels, first);
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T), at = static_cast<std::size_t>(first) * sizeof(T);
    __builtin_memcpy(most, in[0] + at, bytes);
    for (int r = 1; r < count; ++r) {
      __builtin_memcpy(row, in[r] + at, bytes);
      for (int i = 0; i < n; ++i) most[i] = row[i] > most[i] ? row[i] : most[i];
    }
    __builtin_memcpy(out + at, most, bytes);
  }
}

inline void wide_max(const std::uint8_t* const* in, int count, bool words, std::uint8_t* out, int channels) {
  words ? max_of<std::int16_t>(in, count, out, channels) : max_of<std::uint8_t>(in, count, out, channels);
}

inline void wide_sum(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels) {
  std::int16_t row[kWideRow];
  std::uint32_t sums[kWideRow];
  for (int first = 0; first < channels; first += kWideRow) {
    const int n = row_count(channels, first);
    for (int i = 0; i < n; ++i) sums[i] = 0;
    for (int r = 0; r < count; ++r) {
      __builtin_memcpy(row, in[r] + 2 * static_cast<std::ptrdiff_t>(first), 2 * static_cast<std::size_t>(n));
      for (int i = 0; i < n; ++i) sums[i] += static_cast<std::uint32_t>(row[i]);
    }
    for (int i = 0; i < n; ++i) acc[first + i] = static_cast<std::int32_t>(sums[i]);
  }
}

}  // namespace
}  // namespace binade::integer
