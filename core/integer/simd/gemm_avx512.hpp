// The product of bytes and packed weights with AVX-512 VNNI.
#pragma once

#include "core/integer/simd/finish_avx512.hpp"
#include "core/ops/simd/dot_tile_avx512.hpp"

namespace binade::integer {
namespace {

using simd::accumulate;
using simd::kDeepRows;
using simd::tile_function;

/// Four vectors of accumulators become 64 bytes, in the order of {4 lanes, 4 vectors, 4}.
struct FoldedFinish {
  explicit FoldedFinish(const Finish& finish)
      : shift(_mm_cvtsi32_si128(finish.shift)),
        factor(_mm512_set1_epi16(shift_factor(finish))),
        lo(_mm512_set1_epi8(static_cast<char>(finish.lo))),
        hi(_mm512_set1_epi8(static_cast<char>(finish.hi))) {}

  template <TileEnd kEnd>
  __m512i words(__m512i a, __m512i b) const {
    if constexpr (kEnd == TileEnd::late) {
      return _mm512_packs_epi32(_mm512_sra_epi32(a, shift), _mm512_sra_epi32(b, shift));
    } else {
      return _mm512_mulhi_epu16(_mm512_packus_epi32(a, b), factor);
    }
  }

  template <TileEnd kEnd>
  __m512i bytes(__m512i a, __m512i b, __m512i c, __m512i d) const {
    const __m512i packed = _mm512_packus_epi16(words<kEnd>(a, b), words<kEnd>(c, d));
    if constexpr (kEnd == TileEnd::plain) return packed;
    return _mm512_min_epu8(_mm512_max_epu8(packed, lo), hi);
  }

  __m128i shift;
  __m512i factor, lo, hi;
};

template <int kChunk>
inline void store_chunk(std::uint8_t* to, __m512i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_extracti32x4_epi32(bytes, kChunk));
}

/// Stores a tile. Four panels hold their channels in the order that packing undoes (packed_lane); otherwise chunks of
/// 16 bytes are sorted and go where their row and panel are.
template <int kRows, int kPanels, TileEnd kEnd>
inline void store_tile(const __m512i (&acc)[kRows][kPanels], const FoldedFinish& finish, std::uint8_t* out,
                       std::ptrdiff_t stride) {
  constexpr int kCount = kRows * kPanels;
#pragma GCC unroll 8
  for (int first = 0; first < kCount; first += 4) {
    const auto at = [&](int i) __attribute__((always_inline)) {
      const int place = first + i < kCount ? first + i : kCount - 1;
      return acc[place / kPanels][place % kPanels];
    };
    const auto place = [&](int i) __attribute__((always_inline)) {
      return out + (first + i) / kPanels * stride + (first + i) % kPanels * kLanes;
    };
    const __m512i packed = finish.bytes<kEnd>(at(0), at(1), at(2), at(3));
    if constexpr (kPanels == 4) {
      _mm512_storeu_si512(place(0), packed);
      continue;
    }
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_permutexvar_epi32(order, packed);
    if constexpr (kPanels == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(place(0)), _mm512_castsi512_si256(bytes));
      if (first + 2 < kCount) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(place(2)), _mm512_extracti64x4_epi64(bytes, 1));
      }
    } else {
      store_chunk<0>(place(0), bytes);
      if (first + 1 < kCount) store_chunk<1>(place(1), bytes);
      if (first + 2 < kCount) store_chunk<2>(place(2), bytes);
      if (first + 3 < kCount) store_chunk<3>(place(3), bytes);
    }
  }
}

/// What all tiles of a few panels share.
struct PanelJob : simd::DotRows {
  int tiles;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
  const FoldedFinish* folded;  ///< or null: as int32, {rows, kMaxColumns}, to out
};

/// `tiles` tiles below each other.
template <int kRows, int kPanels, bool kHalf, TileEnd kEnd>
__attribute__((noinline)) void run_tiles(const PanelJob& job) {
  const FoldedFinish finish = *job.folded;
  const std::uint8_t* a = job.a;
  std::uint8_t* out = job.out;
  for (int t = 0; t < job.tiles; ++t, a += kRows * job.a_stride, out += kRows * job.out_stride) {
    __m512i acc[kRows][kPanels];
    accumulate<kRows, kPanels, kHalf>(job, a, acc);
    store_tile<kRows, kPanels, kEnd>(acc, finish, out, job.out_stride);
  }
}

/// One tile, as accumulators in the order of channels.
template <int kRows, int kPanels>
__attribute__((noinline)) void run_raw(const PanelJob& job) {
  __m512i acc[kRows][kPanels];
  accumulate<kRows, kPanels, false>(job, job.a, acc);
  auto* out = reinterpret_cast<std::int32_t*>(job.out);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kPanels; ++j) {
      std::int32_t* to = out + i * kMaxColumns;
      if constexpr (kPanels == 4) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 4 * j), _mm512_castsi512_si128(acc[i][j]));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16 + 4 * j), _mm512_extracti32x4_epi32(acc[i][j], 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32 + 4 * j), _mm512_extracti32x4_epi32(acc[i][j], 2));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 48 + 4 * j), _mm512_extracti32x4_epi32(acc[i][j], 3));
      } else {
        _mm512_storeu_si512(to + j * kLanes, acc[i][j]);
      }
    }
  }
}

/// Rows of a tile by panels where little is summed: smaller tiles let the end of one overlap with the next one's sums.
constexpr int kShallowRows[5] = {0, 8, 8, 6, 4};
constexpr int kShallowQuads = 16;

/// How many tiles of nearly equal height share the rows.
inline int tile_count(int rows, int panels, int quads) {
  const int fewest = (rows + kDeepRows[panels] - 1) / kDeepRows[panels];
  const int wanted = quads <= kShallowQuads ? rows / kShallowRows[panels] : 0;
  return wanted > fewest ? wanted : fewest;
}

template <TileEnd kEnd, bool kHalf>
struct Folded {
  template <int kRows, int kPanels>
  static constexpr auto function = run_tiles<kRows, kPanels, kHalf && kPanels <= 2, kEnd>;
};
struct Raw {
  template <int kRows, int kPanels>
  static constexpr auto function = run_raw<kRows, kPanels>;
};

template <bool kHalf>
inline auto folded_function(TileEnd end, int panels, int rows) {
  if (end == TileEnd::plain) return tile_function<PanelJob, Folded<TileEnd::plain, kHalf>>(panels, rows);
  if (end == TileEnd::early) return tile_function<PanelJob, Folded<TileEnd::early, kHalf>>(panels, rows);
  return tile_function<PanelJob, Folded<TileEnd::late, kHalf>>(panels, rows);
}

/// All rows of a few panels whose bytes may be written whole: tiles of nearly equal height, the higher ones first.
inline void run_panels(const Gemm& g, PanelJob job, int panels, bool half) {
  const int tiles = tile_count(g.rows, panels, g.quads);
  const int rows = g.rows / tiles, higher = g.rows % tiles;
  const TileEnd end = tile_end(g.finish);
  const auto function = half ? folded_function<true> : folded_function<false>;
  if (higher > 0) {
    job.tiles = higher;
    function(end, panels, rows + 1)(job);
    job.a += std::ptrdiff_t{higher} * (rows + 1) * job.a_stride;
    job.out += std::ptrdiff_t{higher} * (rows + 1) * job.out_stride;
  }
  job.tiles = tiles - higher;
  function(end, panels, rows)(job);
}

/// The same through a buffer of accumulators: other ways to finish, and rows that end inside a panel.
inline void run_panels_raw(const Gemm& g, PanelJob job, int panels, int first_channel, int channels) {
  alignas(64) std::int32_t acc[kMaxRows * kMaxColumns];
  std::uint8_t* out = job.out;
  job.out = reinterpret_cast<std::uint8_t*>(acc);
  Finish finish = g.finish;
  if (finish.slopes != nullptr) finish.slopes += first_channel;
  for (int r = 0; r < g.rows;) {
    const int rows = g.rows - r < kDeepRows[panels] ? g.rows - r : kDeepRows[panels];
    tile_function<PanelJob, Raw>(panels, rows)(job);
    for (int i = 0; i < rows; ++i, out += g.out_stride) {
      const std::int32_t* line = acc + i * kMaxColumns;
      finish_each(
          finish, [&](int c) { return _mm512_load_si512(line + c); }, out, channels);
    }
    job.a += rows * job.a_stride;
    r += rows;
  }
}

inline void gemm(const Gemm& g) {
  if (g.rows <= 0) return;
  const FoldedFinish folded(g.finish);
  for (int n = 0; n < g.channels; n += kMaxColumns) {
    const int channels = g.channels - n < kMaxColumns ? g.channels - n : kMaxColumns;
    const int panels = (channels + kLanes - 1) / kLanes;
    PanelJob job{};
    static_cast<simd::DotRows&>(job) = {.a = g.a,
                                        .a_stride = g.a_stride,
                                        .w = g.w + std::ptrdiff_t{n} * 4 * g.panel_quads,
                                        .start = g.start + n,
                                        .quads = g.quads,
                                        .panel_quads = g.panel_quads};
    job.tiles = 1;
    job.out = g.out + n;
    job.out_stride = g.out_stride;
    job.folded = &folded;
    const bool part = g.exact_store && channels % kLanes != 0;
    if (g.finish.kind == FinishKind::folded && !part) {
      run_panels(g, job, panels, channels % kLanes != 0 && channels % kLanes <= kLanes / 2);
    } else {
      run_panels_raw(g, job, panels, n, channels);
    }
  }
}

}  // namespace
}  // namespace binade::integer
