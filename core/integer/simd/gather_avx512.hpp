// Gathers the rows of a convolution with AVX-512.
#pragma once

#include <immintrin.h>

#include "core/integer/simd/kernels.hpp"

namespace binade::integer {
namespace {

/// One vector of kBytes.
template <int kBytes>
inline void copy_vector(const std::uint8_t* from, std::uint8_t* to) {
  if constexpr (kBytes == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  } else if constexpr (kBytes == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  } else {
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
  }
}

/// Short runs, one vector each, whose surplus the next run overwrites; their number is known, so that all addresses
/// stay in registers.
template <int kBytes, int kRuns>
inline void gather_short(const Gather& g) {
  const std::uint8_t* from[kRuns];
  for (int r = 0; r < kRuns; ++r) from[r] = g.from[r];
  std::uint8_t* row = g.rows;
  std::ptrdiff_t at = 0;
  for (int p = 0; p < g.pixels; ++p, at += g.step, row += g.row_bytes) {
#pragma GCC unroll 8
    for (int r = 0; r < kRuns; ++r) copy_vector<kBytes>(from[r] + at, row + r * g.run_bytes);
  }
}

template <int kBytes>
inline void gather_any(const Gather& g) {
  for (int p = 0; p < g.pixels; ++p) {
    std::uint8_t* row = g.rows + p * g.row_bytes;
    for (int r = 0; r < g.runs; ++r, row += g.run_bytes) {
      const std::uint8_t* from = g.from[r] + p * g.step;
      for (int i = 0; i < g.run_bytes; i += kBytes) copy_vector<kBytes>(from + i, row + i);
    }
  }
}

inline void gather(const Gather& g) {
  if (g.run_bytes <= 16) return g.runs == 3 ? gather_short<16, 3>(g) : gather_any<16>(g);
  if (g.run_bytes <= 32 && g.runs == 3) return gather_short<32, 3>(g);
  if (g.run_bytes <= 32) return g.runs == 7 ? gather_short<32, 7>(g) : gather_any<32>(g);
  gather_any<64>(g);
}

}  // namespace
}  // namespace binade::integer
