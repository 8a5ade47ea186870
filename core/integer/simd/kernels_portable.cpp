// The kernels in plain C++: for processors without the others, and as their definition.
#include "core/integer/simd/finish_scalar.hpp"
#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {
namespace {

/// Sums are formed without a sign: they may wrap.
std::uint32_t product(std::uint8_t x, std::int8_t w) {
  return static_cast<std::uint32_t>(x * w);
}

void gemm(const Gemm& g) {
  for (int r = 0; r < g.rows; ++r) {
    const std::uint8_t* a = g.a + r * g.a_stride;
    for (int n = 0; n < g.channels; ++n) {
      const int lane = packed_lane(n, g.channels);
      const std::int8_t* w = g.w + std::ptrdiff_t{lane / kLanes} * g.panel_quads * 4 * kLanes + lane % kLanes * 4;
      auto acc = static_cast<std::uint32_t>(g.start[lane]);
      for (int k = 0; k < 4 * g.quads; ++k) acc += product(a[k], w[k / 4 * 4 * kLanes + k % 4]);
      g.out[r * g.out_stride + n] = finished(g.finish, static_cast<std::int32_t>(acc), n);
    }
  }
}

void gather(const Gather& g) {
  for (int p = 0; p < g.pixels; ++p) {
    for (int r = 0; r < g.runs; ++r) {
      __builtin_memcpy(g.rows + p * g.row_bytes + std::ptrdiff_t{r} * g.run_bytes, g.from[r] + p * g.step,
                       static_cast<std::size_t>(g.run_bytes));
    }
  }
}

/// Bytes of weights that `quads` groups of taps of a block take.
std::ptrdiff_t block_bytes(int quads, int block) {
  return std::ptrdiff_t{quads} * 4 * block;
}

void depthwise(const Depthwise& d) {
  const int quads = (d.tap_count + 3) / 4;
  for (int p = 0; p < d.pixels; ++p) {
    const std::uint8_t* const* taps = d.taps + std::ptrdiff_t{p} * d.tap_count;
    const std::int8_t* w = d.w;
    for (int c = 0; c < d.channels;) {
      const int block = depthwise_block(d.channels - c);
      for (int i = 0; i < block; ++i) {
        auto acc = static_cast<std::uint32_t>(d.start[c + depthwise_lane(i, block)]);
        for (int t = 0; t < d.tap_count; ++t) {
          acc += product(taps[t][c + i], w[block_bytes(t / 4, block) + 4 * depthwise_lane(i, block) + t % 4]);
        }
        d.out[p * d.out_stride + c + i] = finished(d.finish, static_cast<std::int32_t>(acc), c + i);
      }
      w += block_bytes(quads, block);
      c += block;
    }
  }
}

void depthwise3x3(const Depthwise3x3& d) {
  for (int y = d.row_begin; y < d.row_end; ++y) {
    for (int x = 0; x < d.ow; ++x) {
      const std::int8_t* w = d.w;
      for (int c = 0; c < d.channels;) {
        const int block = depthwise_block(d.channels - c);
        for (int i = 0; i < block; ++i) {
          auto acc = static_cast<std::uint32_t>(d.start[c + depthwise_lane(i, block)]);
          for (int t = 0; t < 9; ++t) {
            const int iy = y * d.stride - d.pad_top + t / 3, ix = x * d.stride - d.pad_left + t % 3;
            const bool inside = iy >= 0 && iy < d.ih && ix >= 0 && ix < d.iw;
            const std::uint8_t code = inside ? d.in[(std::ptrdiff_t{iy} * d.iw + ix) * d.in_pitch + c + i] : d.zero;
            acc += product(code, w[block_bytes(t % 3, block) + 4 * depthwise_lane(i, block) + t / 3]);
          }
          d.out[(std::ptrdiff_t{y} * d.ow + x) * d.out_pitch + c + i] =
              finished(d.finish, static_cast<std::int32_t>(acc), c + i);
        }
        w += 2 * block_bytes(3, block);
        c += block;
      }
    }
  }
}

void finish_row(const Finish& finish, const std::int32_t* acc, std::uint8_t* bytes, int channels) {
  for (int c = 0; c < channels; ++c) bytes[c] = finished(finish, acc[c], c);
}

void add(const Add& add) {
  for (std::int64_t i = 0; i < add.count; ++i) {
    const std::int32_t a = (add.a[i] - add.zero_a) * (1 << add.shift_a),
                       b = (add.b[i] - add.zero_b) * (1 << add.shift_b);
    add.out[i] = finished(add.finish, a + b, 0);
  }
}

void rescale(const Finish& finish, const std::uint8_t* in, std::int32_t zero, std::uint8_t* out, int channels) {
  for (int c = 0; c < channels; ++c) out[c] = finished(finish, in[c] - zero, c);
}

void max(const std::uint8_t* const* in, int count, std::uint8_t* out, int channels) {
  for (int c = 0; c < channels; ++c) {
    std::uint8_t most = in[0][c];
    for (int i = 1; i < count; ++i) most = in[i][c] > most ? in[i][c] : most;
    out[c] = most;
  }
}

void sum(const std::uint8_t* const* in, int count, std::int32_t* acc, int channels) {
  for (int c = 0; c < channels; ++c) {
    std::int32_t total = 0;
    for (int i = 0; i < count; ++i) total += in[i][c];
    acc[c] = total;
  }
}

}  // namespace

const Kernels kernels_portable{.gemm = gemm,
                               .gather = gather,
                               .depthwise = depthwise,
                               .depthwise3x3 = depthwise3x3,
                               .finish = finish_row,
                               .add = add,
                               .rescale = rescale,
                               .max = max,
                               .sum = sum,
                               .wide = &wide_kernels_portable};

}  // namespace binade::integer
