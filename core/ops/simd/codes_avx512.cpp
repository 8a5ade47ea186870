// Products of codes with AVX-512 VNNI.
#include "core/ops/simd/codes.hpp"
#include "core/ops/simd/dot_tile_avx512.hpp"

namespace binade::simd {
namespace {

struct FloatJob : DotRows {
  const float* bias;
  float scale;
  float* y;
  std::ptrdiff_t y_stride;
  __mmask16 last;  ///< lanes of the last panel
};

struct ToFloats {
  template <int kRows, int kPanels>
  static void function(const FloatJob& job) {
    __m512i acc[kRows][kPanels];
    accumulate<kRows, kPanels, false>(job, job.a, acc);
    const __m512 scale = _mm512_set1_ps(job.scale);
#pragma GCC unroll 8
    for (int j = 0; j < kPanels; ++j) {
      const __m512 bias = _mm512_loadu_ps(job.bias + j * kPanelLanes);
      const __mmask16 lanes = j == kPanels - 1 ? job.last : __mmask16{0xffff};
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        _mm512_mask_storeu_ps(job.y + i * job.y_stride + j * kPanelLanes, lanes,
                              _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[i][j]), scale, bias));
      }
    }
  }
};

void product(const CodeProduct& p) {
  constexpr int kPanels = 4;
  for (int n = 0; n < p.channels; n += kPanels * kPanelLanes) {
    const int channels = p.channels - n < kPanels * kPanelLanes ? p.channels - n : kPanels * kPanelLanes;
    const int panels = (channels + kPanelLanes - 1) / kPanelLanes;
    FloatJob job{};
    static_cast<DotRows&>(job) = {.a = p.a,
                                  .a_stride = p.a_stride,
                                  .w = p.w + std::ptrdiff_t{n} * 4 * p.quads,
                                  .start = p.start + n,
                                  .quads = p.quads,
                                  .panel_quads = p.quads};
    job.bias = p.bias + n;
    job.scale = p.scale;
    job.y = p.y + n;
    job.y_stride = p.y_stride;
    job.last = static_cast<__mmask16>(0xffffU >> (panels * kPanelLanes - channels));
    const int tiles = (p.rows + kDeepRows[panels] - 1) / kDeepRows[panels];
    for (int row = 0, t = 0; t < tiles; ++t) {
      const int rows = (p.rows - row + tiles - t - 1) / (tiles - t);  // of nearly equal height
      tile_function<FloatJob, ToFloats>(panels, rows)(job);
      job.a += rows * p.a_stride;
      job.y += rows * p.y_stride;
      row += rows;
    }
  }
}

bool to_bytes(const float* x, std::int64_t n, float factor, int zero, std::uint8_t* bytes) {
  const __m512 scale = _mm512_set1_ps(factor), shift = _mm512_set1_ps(static_cast<float>(zero));
  unsigned not_numbers = 0;
  const auto sixteen = [&](__m512 reals) {
    not_numbers |= _mm512_cmp_ps_mask(reals, reals, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_fmadd_ps(reals, scale, shift)));
  };
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + i), sixteen(_mm512_loadu_ps(x + i)));
  }
  if (i < n) {
    const auto lanes = static_cast<__mmask16>((1U << (n - i)) - 1);
    _mm_mask_storeu_epi8(bytes + i, lanes, sixteen(_mm512_maskz_loadu_ps(lanes, x + i)));
  }
  return not_numbers == 0;
}

}  // namespace

const CodeKernels codes_avx512{to_bytes, product};

}  // namespace binade::simd
