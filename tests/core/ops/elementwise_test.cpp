// Every elementwise kernel gives the portable one's bits: extremes, ties, tails, misaligned and in place.
#include "core/ops/simd/elementwise.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/random.hpp"
#include "core/base/tensor.hpp"

namespace binade::simd {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Random bit patterns without NaN, codes and ties of small grids and their neighbours, and the ends of the format.
AlignedVector<float> hard_values(std::size_t n, std::uint64_t seed) {
  const float ends[] = {0.0f,       -0.0f,  0.5f,    -0.5f,  0.49999997f, -0.49999997f, 8388607.5f, -8388607.5f,
                        16777215.f, 1e-45f, -1e-45f, 1e-38f, 3.4e38f,     -3.4e38f,     kInfinity,  -kInfinity,
                        1.5f,       -1.5f,  2.5f,    -2.5f,  127.5f,      -128.5f,      255.5f,     254.5f};
  Random random(seed);
  AlignedVector<float> values(n);
  for (float& v : values) {
    switch (random.below(4)) {
      case 0: v = ends[random.below(std::size(ends))]; break;
      case 1: {
        const std::uint32_t bits = static_cast<std::uint32_t>(random.next());
        std::memcpy(&v, &bits, sizeof v);
        if (std::isnan(v)) v = 1;
        break;
      }
      case 2: v = static_cast<float>(static_cast<int>(random.below(2000)) - 1000) / 2; break;
      default:
        v = std::nextafter(static_cast<float>(static_cast<int>(random.below(2000)) - 1000) / 2,
                           random.below(2) == 0 ? -1e9f : 1e9f);
    }
  }
  return values;
}

bool same_bits(const AlignedVector<float>& a, const AlignedVector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Runs `kernel(kernels, x, y)` with every instruction set that there is, on lengths and offsets that leave tails,
/// out of place and in place, and compares with the portable result. y has a canary of 16 elements on both sides.
template <class Kernel>
void expect_portable_bits(Kernel kernel) {
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (isa > detected_isa()) continue;
    for (const std::size_t n : {0, 1, 7, 8, 9, 15, 16, 17, 31, 100, 1000, 4099}) {
      for (const std::size_t offset : {16, 17, 20, 23}) {
        const auto x = hard_values(n + offset + 16, n * 31 + offset);
        AlignedVector<float> wanted(x.size(), 77), found(x.size(), 77), in_place = x, wanted_in_place = x;
        const auto count = static_cast<std::int64_t>(n);
        kernel(elementwise(Isa::portable), x.data() + offset, wanted.data() + offset, count);
        kernel(elementwise(isa), x.data() + offset, found.data() + offset, count);
        EXPECT_TRUE(same_bits(wanted, found)) << to_string(isa) << ", n " << n << ", offset " << offset;
        kernel(elementwise(Isa::portable), wanted_in_place.data() + offset, wanted_in_place.data() + offset, count);
        kernel(elementwise(isa), in_place.data() + offset, in_place.data() + offset, count);
        EXPECT_TRUE(same_bits(wanted_in_place, in_place)) << to_string(isa) << " in place, n " << n;
      }
    }
  }
}

TEST(Elementwise, clip) {
  for (const auto& [lo, hi] : {std::pair{0.0f, 6.0f}, {0.0f, kInfinity}, {-1.5f, 2.0f}, {-kInfinity, kInfinity}}) {
    expect_portable_bits([lo = lo, hi = hi](const ElementwiseKernels& k, const float* x, float* y, std::int64_t n) {
      k.clip(x, y, n, lo, hi);
    });
  }
}

TEST(Elementwise, add) {
  expect_portable_bits([](const ElementwiseKernels& k, const float* x, float* y, std::int64_t n) {
    AlignedVector<float> other(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < other.size(); ++i) other[i] = static_cast<float>(i) * 0.37f;
    k.add(x, other.data(), y, n);
  });
}

TEST(Elementwise, fake_quantize) {
  for (const Rounding rounding : {Rounding::half_up, Rounding::half_away, Rounding::half_even}) {
    for (const int bits : {2, 4, 8, 12, 16, 24}) {
      for (const int frac : {-100, -30, -3, 0, 1, 7, 23, 60, 120}) {
        for (const bool is_signed : {true, false}) {
          const QuantSpec spec{static_cast<std::int8_t>(frac), static_cast<std::uint8_t>(bits), is_signed};
          for (const bool stream : {false, true}) {
            expect_portable_bits([&](const ElementwiseKernels& k, const float* x, float* y, std::int64_t n) {
              const bool clipped = frac == 1;
              k.fake_quantize(x, y, n, grid_of(spec, rounding), clipped ? 0 : -kInfinity, clipped ? 6 : kInfinity,
                              stream);
            });
          }
        }
      }
    }
  }
}

TEST(Elementwise, fake_quantize_is_the_one_of_fixed_point) {
  const auto x = hard_values(20000, 3);
  AlignedVector<float> y(x.size());
  for (const Rounding rounding : {Rounding::half_up, Rounding::half_away, Rounding::half_even}) {
    for (int bits = 2; bits <= 32; ++bits) {
      for (const int frac : {-128, -101, -100, -7, 0, 5, 31, 120, 121, 127}) {
        const QuantSpec spec{static_cast<std::int8_t>(frac), static_cast<std::uint8_t>(bits), bits % 2 == 0};
        fake_quantize(x.data(), y.data(), static_cast<std::int64_t>(x.size()), spec, rounding);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float wanted = binade::fake_quantize(x[i], spec, rounding);
          ASSERT_EQ(std::memcmp(&y[i], &wanted, sizeof wanted), 0) << x[i] << " on " << bits << " bits, frac " << frac;
        }
      }
    }
  }
}

TEST(Elementwise, clip_and_quantize_is_both_in_turn) {
  const auto x = hard_values(3001, 4);
  AlignedVector<float> fused(x.size()), clipped(x.size()), twice(x.size());
  const std::int64_t n = static_cast<std::int64_t>(x.size());
  for (const int bits : {8, 30}) {
    const QuantSpec spec{4, static_cast<std::uint8_t>(bits), true};
    clip_fake_quantize(x.data(), fused.data(), n, 0, 6, spec, Rounding::half_up);
    clip(x.data(), clipped.data(), n, 0, 6);
    fake_quantize(clipped.data(), twice.data(), n, spec, Rounding::half_up);
    EXPECT_TRUE(same_bits(fused, twice));
  }
}

TEST(Elementwise, kernels_over_channels) {
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (isa > detected_isa()) continue;
    const ElementwiseKernels &portable = elementwise(Isa::portable), &fast = elementwise(isa);
    for (const int c : {1, 3, 8, 13, 16, 24, 31, 64, 97}) {
      constexpr std::int64_t kPixels = 37;
      const std::size_t count = static_cast<std::size_t>(c * kPixels);
      auto x = hard_values(count, static_cast<std::uint64_t>(c));
      for (float& v : x) v = std::isinf(v) ? 1.0f : v / 64;  // sums must not meet infinities of both signs
      const auto scale = hard_values(static_cast<std::size_t>(c), 5),
                 shift = hard_values(static_cast<std::size_t>(c), 6);
      AlignedVector<float> a(count, 7), b(count, 7);
      const auto finite = [](AlignedVector<float> v) {
        for (float& e : v) e = std::clamp(e, -100.0f, 100.0f);
        return v;
      };
      const auto s = finite(scale), t = finite(shift);
      portable.scale_shift(x.data(), s.data(), t.data(), a.data(), kPixels, c);
      fast.scale_shift(x.data(), s.data(), t.data(), b.data(), kPixels, c);
      EXPECT_TRUE(same_bits(a, b)) << "scale_shift, " << c << " channels";

      std::vector<const float*> taps;
      for (std::int64_t p = 0; p < kPixels; p += 4) taps.push_back(x.data() + p * c);
      const auto tap_count = static_cast<std::int64_t>(taps.size());
      portable.max_taps(taps.data(), tap_count, a.data(), c);
      fast.max_taps(taps.data(), tap_count, b.data(), c);
      EXPECT_TRUE(same_bits(a, b)) << "max_taps, " << c << " channels";
      portable.mean_taps(taps.data(), tap_count, 9, a.data(), c);
      fast.mean_taps(taps.data(), tap_count, 9, b.data(), c);
      EXPECT_TRUE(same_bits(a, b)) << "mean_taps, " << c << " channels";

      AlignedVector<double> p(static_cast<std::size_t>(c + 3), 0.25), q = p;
      portable.column_sums(x.data(), kPixels, c, c, p.data());
      fast.column_sums(x.data(), kPixels, c, c, q.data());
      EXPECT_EQ(std::memcmp(p.data(), q.data(), p.size() * sizeof(double)), 0) << "column_sums, " << c << " channels";
    }
  }
}

}  // namespace
}  // namespace binade::simd
