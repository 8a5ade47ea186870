// Gathers the rows of a convolution with AVX-512.
#pragma once

#include <immintrin.h>

#include "core/integer/simd/kernels.hpp"

namespace binade::integer {
namespace {

/// Every run is kVectors vectors of kBytes, the surplus to be overwritten by the next run or to meet zero weights.
template <int kBytes, int kVectors>
inline void copy_run(const std::uint8_t* from, std::uint8_t* to) {
#pragma GCC unroll 4
  for (int i = 0; i < kVectors; ++i, from += kBytes, to += kBytes) {
    if constexpr (kBytes == 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    } else if constexpr (kBytes == 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    } else {
      _mm512_storeu_si512(to, _mm512_loadu_si512(from));
    }
  }
}

/// Runs of up to kBytes; their number is kRuns, or any for 0.
template <int kBytes, int kRuns>
inline void gather_equal(const Gather& g) {
  const std::uint8_t* in = g.in;
  std::uint8_t* row = g.rows;
  const int count = kRuns > 0 ? kRuns : g.run_count;
  std::ptrdiff_t from[kRuns > 0 ? kRuns : 1], to[kRuns > 0 ? kRuns : 1];
  for (int r = 0; r < kRuns; ++r) from[r] = g.runs[r].from, to[r] = g.runs[r].to;
  for (int p = 0; p < g.pixels; ++p, in += g.in_step, row += g.row_bytes) {
    if constexpr (kRuns > 0) {
#pragma GCC unroll 8
      for (int r = 0; r < kRuns; ++r) copy_run<kBytes, 1>(in + from[r], row + to[r]);
    } else {
      for (int r = 0; r < count; ++r) copy_run<kBytes, 1>(in + g.runs[r].from, row + g.runs[r].to);
    }
  }
}

inline void gather(const Gather& g) {
  int most = 0;
  for (int r = 0; r < g.run_count; ++r) most = g.runs[r].bytes > most ? g.runs[r].bytes : most;
  if (most <= 16) return g.run_count == 3 ? gather_equal<16, 3>(g) : gather_equal<16, 0>(g);
  if (most <= 32) return g.run_count == 7 ? gather_equal<32, 7>(g) : gather_equal<32, 0>(g);
  if (most <= 64) return gather_equal<64, 0>(g);
  for (int p = 0; p < g.pixels; ++p) {
    for (int r = 0; r < g.run_count; ++r) {
      const std::uint8_t* from = g.in + p * g.in_step + g.runs[r].from;
      std::uint8_t* to = g.rows + p * g.row_bytes + g.runs[r].to;
      for (int i = 0; i < g.runs[r].bytes; i += 64) copy_run<64, 1>(from + i, to + i);
    }
  }
}

}  // namespace
}  // namespace binade::integer
