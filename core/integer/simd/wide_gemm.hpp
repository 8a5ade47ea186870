// The product of words and packed weights: a tile of pixels and one or two panels of channels stays in registers.
#pragma once

#include "core/integer/simd/wide_end.hpp"

namespace binade::integer {
namespace {

/// What all tiles of a block share.
template <class V>
struct WideJob {
  const std::int16_t* a;
  std::ptrdiff_t a_stride;
  int pairs, tiles;
  const WideBlock* block;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
  const WideEnd<V>* end;
  WideStyle style;
  const char *next, *next_end;       ///< weights that will be needed next
  std::ptrdiff_t next_step;          ///< bytes of them to fetch during a tile
  std::int32_t *raw_low, *raw_high;  ///< or null: accumulators of one tile, {rows, 2 * lanes}
};

/// Two words, everywhere.
template <class V>
inline __attribute__((always_inline)) typename V::Reg splat_pair(const std::int16_t* from) {
  std::int32_t both;
  __builtin_memcpy(&both, from, sizeof both);
  return V::splat32(both);
}

/// `count` pairs. Of tiles of one row there are several sums in turn, to hide the latency.
template <class V, int kRows, int kPanels>
inline __attribute__((always_inline)) void add_products(const std::int16_t* a, std::ptrdiff_t stride,
                                                        const std::int16_t* w, int count,
                                                        typename V::Reg (&acc)[kRows][kPanels]) {
  using Reg = typename V::Reg;
  constexpr int kStep = 2 * V::kLanes;
  if constexpr (kRows == 1) {
    Reg second[kPanels], third[kPanels], fourth[kPanels];
    for (int j = 0; j < kPanels; ++j) second[j] = third[j] = fourth[j] = V::zero();
    for (; count >= 4; count -= 4, a += 8, w += 4 * kPanels * kStep) {
      const Reg x0 = splat_pair<V>(a), x1 = splat_pair<V>(a + 2), x2 = splat_pair<V>(a + 4), x3 = splat_pair<V>(a + 6);
#pragma GCC unroll 2
      for (int j = 0; j < kPanels; ++j) {
        V::add_dot(acc[0][j], x0, V::load(w + j * kStep));
        V::add_dot(second[j], x1, V::load(w + (kPanels + j) * kStep));
        V::add_dot(third[j], x2, V::load(w + (2 * kPanels + j) * kStep));
        V::add_dot(fourth[j], x3, V::load(w + (3 * kPanels + j) * kStep));
      }
    }
    for (int j = 0; j < kPanels; ++j) {
      acc[0][j] = V::add32(V::add32(acc[0][j], second[j]), V::add32(third[j], fourth[j]));
    }
  }
  for (; count > 0; --count, a += 2, w += kPanels * kStep) {
    Reg weights[kPanels];
#pragma GCC unroll 2
    for (int j = 0; j < kPanels; ++j) weights[j] = V::load(w + j * kStep);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Reg x = splat_pair<V>(a + i * stride);
#pragma GCC unroll 2
      for (int j = 0; j < kPanels; ++j) V::add_dot(acc[i][j], x, weights[j]);
    }
  }
}

template <WideStyle kStyle>
struct StyleConstant {
  static constexpr WideStyle value = kStyle;
};

/// Stores a tile, by the codes that `code(style, i, j)` makes.
template <WideStyle kStyle, class V, int kRows, int kPanels, class Code>
inline __attribute__((always_inline)) void store_rows(const WideJob<V>& job, std::uint8_t* out, const Code& code) {
  const WideEnd<V>& end = *job.end;
  const int channels = job.block->channels;
  constexpr auto kCode = StyleConstant<kStyle>{};
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i, out += job.out_stride) {
    if constexpr (kPanels == 2) {
      end.template store<kStyle>(out, code(kCode, i, 0), code(kCode, i, 1), channels);
    } else {
      end.template store<kStyle>(out, code(kCode, i, 0), channels);
    }
  }
}

template <class V, int kRows, int kPanels, class Code>
inline __attribute__((always_inline)) void store_tile(const WideJob<V>& job, std::uint8_t* out, const Code& code) {
  switch (job.style) {
    case WideStyle::signed_words: return store_rows<WideStyle::signed_words, V, kRows, kPanels>(job, out, code);
    case WideStyle::unsigned_words: return store_rows<WideStyle::unsigned_words, V, kRows, kPanels>(job, out, code);
    case WideStyle::bytes: return store_rows<WideStyle::bytes, V, kRows, kPanels>(job, out, code);
    case WideStyle::general: return store_rows<WideStyle::general, V, kRows, kPanels>(job, out, code);
  }
}

template <class V, int kRows, int kPanels>
inline __attribute__((always_inline)) void store_raw(std::int32_t* to, const typename V::Reg (&acc)[kRows][kPanels]) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanels; ++j) V::store(to + (2 * i + j) * V::kLanes, acc[i][j]);
  }
}

/// `tiles` tiles below each other.
template <class V, int kRows, int kPanels, bool kSplit>
__attribute__((noinline)) void wide_tiles(WideJob<V>& job) {
  using Reg = typename V::Reg;
  const std::int16_t* a = job.a;
  std::uint8_t* out = job.out;
  for (int t = 0; t < job.tiles; ++t, a += kRows * job.a_stride, out += kRows * job.out_stride) {
    forget_memory();
    for (const char* stop = job.next + job.next_step; job.next < stop && job.next < job.next_end; job.next += 64) {
      __builtin_prefetch(job.next, 0, 2);
    }
    Reg acc[kRows][kPanels], high[kRows][kPanels];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kPanels; ++j) {
        acc[i][j] = V::load(job.block->low + j * V::kLanes);
        if constexpr (kSplit) high[i][j] = V::load(job.block->high + j * V::kLanes);
      }
    }
    if constexpr (!kSplit) {
      add_products<V, kRows, kPanels>(a, job.a_stride, job.block->w, job.pairs, acc);
      forget_memory();
      if (job.raw_low != nullptr) {
        store_raw<V, kRows, kPanels>(job.raw_low, acc);
      } else {
        store_tile<V, kRows, kPanels>(
            job, out, [&](auto, int i, int j) __attribute__((always_inline)) { return job.end->code(acc[i][j]); });
      }
    } else {
      const std::int16_t *row = a, *w = job.block->w;
      for (const std::int32_t* chunk = job.block->chunks; *chunk > 0; ++chunk) {
        add_products<V, kRows, kPanels>(row, job.a_stride, w, *chunk, acc);
        row += 2 * *chunk;
        w += std::ptrdiff_t{*chunk} * kPanels * 2 * V::kLanes;
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
          for (int j = 0; j < kPanels; ++j) V::split(acc[i][j], high[i][j]);
        }
      }
      forget_memory();
      if (job.raw_low != nullptr) {
        store_raw<V, kRows, kPanels>(job.raw_low, acc);
        store_raw<V, kRows, kPanels>(job.raw_high, high);
      } else {
        store_tile<V, kRows, kPanels>(
            job, out, [&](auto style, int i, int j) __attribute__((always_inline)) {
              return job.end->template code<decltype(style)::value>(acc[i][j], high[i][j]);
            });
      }
    }
  }
}

/// Makes wide_tiles<rows> a choice at run time.
template <class V, int kPanels, bool kSplit, int kMost>
inline void run_wide_tiles(int rows, WideJob<V>& job) {
  if constexpr (kMost > 1) {
    if (rows < kMost) return run_wide_tiles<V, kPanels, kSplit, kMost - 1>(rows, job);
  }
  wide_tiles<V, kMost, kPanels, kSplit>(job);
}

template <class V>
inline void run_wide_tiles(int panels, bool splits, int rows, WideJob<V>& job) {
  if (panels == 2) {
    splits ? run_wide_tiles<V, 2, true, V::kSplitRows[2]>(rows, job)
           : run_wide_tiles<V, 2, false, V::kNarrowRows[2]>(rows, job);
  } else {
    splits ? run_wide_tiles<V, 1, true, V::kSplitRows[1]>(rows, job)
           : run_wide_tiles<V, 1, false, V::kNarrowRows[1]>(rows, job);
  }
}

/// Tiles through a buffer of accumulators, for the other ways to finish.
template <class V>
inline void wide_gemm_raw(const WideGemm& g, WideJob<V> job, int panels, int limit) {
  constexpr int kMost = 12 * 2 * V::kLanes;
  alignas(64) std::int32_t low[kMost], high[kMost];
  job.raw_low = low;
  job.raw_high = high;
  job.tiles = 1;
  for (int r = 0; r < g.rows; r += limit) {
    const int rows = g.rows - r < limit ? g.rows - r : limit;
    run_wide_tiles<V>(panels, g.block.chunks != nullptr, rows, job);
    for (int i = 0; i < rows; ++i) {
      finish_block(g.finish, g.block, panels, V::kLanes, low + i * 2 * V::kLanes, high + i * 2 * V::kLanes,
                   g.out + (r + i) * g.out_stride);
    }
    job.a += rows * job.a_stride;
  }
}

/// Where little is summed, smaller tiles let the end of one overlap with the next one's sums.
constexpr int kShallowPairs = 16;

/// Tiles of nearly equal height, the higher ones first.
template <class V>
inline void wide_gemm(const WideGemm& g) {
  if (g.rows <= 0) return;
  const bool splits = g.block.chunks != nullptr;
  const WideEnd<V> end(g.finish, splits);
  const int panels = g.block.channels > V::kLanes ? 2 : 1;
  const int most = splits ? V::kSplitRows[panels] : V::kNarrowRows[panels];
  const int limit = !splits && g.pairs <= kShallowPairs ? V::kShallowRows[panels] : most;
  WideJob<V> job{.a = g.a,
                 .a_stride = g.a_stride,
                 .pairs = g.pairs,
                 .tiles = 1,
                 .block = &g.block,
                 .out = g.out,
                 .out_stride = g.out_stride,
                 .end = &end,
                 .style = end.style(splits, g.block.channels, panels),
                 .next = reinterpret_cast<const char*>(g.next_w),
                 .next_end = reinterpret_cast<const char*>(g.next_w),
                 .next_step = 0,
                 .raw_low = nullptr,
                 .raw_high = nullptr};
  if (!g.finish.folded) return wide_gemm_raw<V>(g, job, panels, limit);
  const int tiles = (g.rows + limit - 1) / limit, rows = g.rows / tiles, higher = g.rows % tiles;
  if (g.next_w != nullptr && g.rows > 1) {
    const std::ptrdiff_t bytes = std::ptrdiff_t{g.pairs} * panels * V::kLanes * 4;
    job.next_end += bytes;
    job.next_step = bytes / tiles + 64;
  }
  if (higher > 0) {
    job.tiles = higher;
    run_wide_tiles<V>(panels, splits, rows + 1, job);
    job.a += std::ptrdiff_t{higher} * (rows + 1) * job.a_stride;
    job.out += std::ptrdiff_t{higher} * (rows + 1) * job.out_stride;
  }
  job.tiles = tiles - higher;
  run_wide_tiles<V>(panels, splits, rows, job);
}

}  // namespace
}  // namespace binade::integer
