// Sums of products of bytes and packed weights in registers, with AVX-512 VNNI: the inner loop of all integer products.
//
// A tile of pixels and panels stays in registers: 6 x 4, 8 x 3, 12 x 2 or 16 x 1, 24 accumulators at most, which hides
// the latency of vpdpbusd and leaves room for the operands.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

namespace binade::simd {
namespace {

/// Channels of a panel of packed weights.
constexpr int kPanelLanes = 16;
/// Rows of a tile by panels.
constexpr int kDeepRows[5] = {0, 16, 12, 8, 6};

/// @shape a: rows of 4 * quads bytes; w: {panels, panel_quads, 16, 4}, of which the first `quads` count; start:
/// {panels, 16}
struct DotRows {
  const std::uint8_t* a;
  std::ptrdiff_t a_stride;
  const std::int8_t* w;
  const std::int32_t* start;
  int quads, panel_quads;
};

inline std::int32_t load_quad(const std::uint8_t* from) {
  std::int32_t quad;
  __builtin_memcpy(&quad, from, sizeof quad);
  return quad;
}

/// In the lower half, for half the work on processors that execute 512 bits in two parts. The upper half is garbage.
inline __m512i half_dot(__m512i acc, __m512i bytes, __m512i weights) {
  return _mm512_castsi256_si512(
      _mm256_dpbusd_epi32(_mm512_castsi512_si256(acc), _mm512_castsi512_si256(bytes), _mm512_castsi512_si256(weights)));
}

/// With kHalf, only eight channels of the last panel count.
template <int kRows, int kPanels, bool kHalf>
inline __attribute__((always_inline)) void accumulate(const DotRows& job, const std::uint8_t* a,
                                                      __m512i (&acc)[kRows][kPanels]) {
  __m512i start[kPanels];
#pragma GCC unroll 8
  for (int j = 0; j < kPanels; ++j) start[j] = _mm512_loadu_si512(job.start + kPanelLanes * j);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kPanels; ++j) acc[i][j] = start[j];
  }
  const std::ptrdiff_t panel = std::ptrdiff_t{job.panel_quads} * 64, stride = job.a_stride;
  const std::int8_t* w = job.w;
  for (int q = 0; q < job.quads; ++q, a += 4, w += 64) {
    __m512i weights[kPanels];
#pragma GCC unroll 8
    for (int j = 0; j < kPanels; ++j) weights[j] = _mm512_loadu_si512(w + j * panel);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const __m512i bytes = _mm512_set1_epi32(load_quad(a + i * stride));
#pragma GCC unroll 8
      for (int j = 0; j < kPanels; ++j) {
        acc[i][j] = kHalf && j == kPanels - 1 ? half_dot(acc[i][j], bytes, weights[j])
                                              : _mm512_dpbusd_epi32(acc[i][j], bytes, weights[j]);
      }
    }
  }
}

/// Makes Kernel::function<rows, kPanels> a choice at run time.
template <class Job, class Kernel, int kPanels, int... kRows>
inline auto pick(int rows) {
  using Function = void (*)(const Job&);
  static constexpr Function kFunctions[] = {Kernel::template function<kRows, kPanels>...};
  return kFunctions[rows - 1];
}

template <class Job, class Kernel>
inline auto tile_function(int panels, int rows) {
  switch (panels) {
    case 4: return pick<Job, Kernel, 4, 1, 2, 3, 4, 5, 6>(rows);
    case 3: return pick<Job, Kernel, 3, 1, 2, 3, 4, 5, 6, 7, 8>(rows);
    case 2: return pick<Job, Kernel, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>(rows);
    default: return pick<Job, Kernel, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16>(rows);
  }
}

}  // namespace
}  // namespace binade::simd
