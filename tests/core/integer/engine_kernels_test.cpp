// Every table of kernels against the portable one, which the engine's tests hold to the interpreter: fuzzed extents,
// extreme bytes, every way to finish.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/random.hpp"
#include "core/integer/simd/dispatch.hpp"

namespace binade::integer {
namespace {

class KernelTest : public ::testing::Test {
 protected:
  int between(int lo, int hi) { return lo + static_cast<int>(random_.below(static_cast<std::uint64_t>(hi - lo) + 1)); }
  bool chance(int percent) { return between(1, 100) <= percent; }

  /// Sometimes only the ends of the range.
  template <class T>
  std::vector<T> bytes(std::int64_t count) {
    std::vector<T> made(static_cast<std::size_t>(count) + kTailBytes);
    const bool extreme = chance(30);
    for (T& byte : made) {
      const int any = between(0, 255), end = chance(50) ? 0 : 255;
      byte = static_cast<T>(extreme ? (sizeof(T) == 1 && T(-1) < T(0) ? end / 255 * 255 - 128 : end) : any);
    }
    return made;
  }
  /// Accumulators that stay away from the ends of 32 bits as the engine proves them to.
  std::vector<std::int32_t> starts(int count) {
    std::vector<std::int32_t> made(static_cast<std::size_t>(count) + kMaxColumns);
    const int bits = between(1, 29);
    for (auto& start : made) start = between(-(1 << bits), 1 << bits);
    return made;
  }
  Finish finish(int channels, bool may_fold, bool may_slope = true) {
    Finish made{.shift = between(0, 20), .zero = chance(50) ? 128 : 0, .round = static_cast<Round>(between(0, 2))};
    made.lo = chance(50) ? 0 : between(0, 255);
    made.hi = chance(50) ? 255 : between(made.lo, 255);
    made.hi = std::max(made.hi, made.lo);
    made.kind = may_fold && chance(50) ? FinishKind::folded : (chance(60) ? FinishKind::narrow : FinishKind::wide);
    if (made.kind == FinishKind::wide) {
      made.shift = between(-8, 40);
      if (may_slope && chance(50)) {
        slopes_ = starts(channels);
        made.slopes = slopes_.data();
        made.slope_frac = between(0, 24);
      }
    }
    return made;
  }

  /// Runs a kernel of every table with room around its output, and compares the bytes that count.
  template <class Run, class Counts>
  void compare(std::int64_t size, const Run& run, const Counts& counts) {
    std::vector<std::uint8_t> wanted(static_cast<std::size_t>(size) + 2 * kTailBytes, 0xA5);
    run(kernels_portable, wanted.data() + kTailBytes);
    for (const Isa isa : {Isa::avx2, Isa::avx512}) {
      if (isa > detected_isa() || kernels_for(isa).gemm == nullptr) continue;  // null: wide kernels do it all
      std::vector<std::uint8_t> found(wanted.size(), 0xA5);
      run(kernels_for(isa), found.data() + kTailBytes);
      for (std::int64_t i = -kTailBytes; i < size + kTailBytes; ++i) {
        if (!counts(i)) continue;
        const auto at = static_cast<std::size_t>(i + kTailBytes);
        ASSERT_EQ(found[at], wanted[at]) << to_string(isa) << ", byte " << i << " of " << size;
      }
    }
  }

  Random random_{1};
  std::vector<std::int32_t> slopes_;
};

TEST_F(KernelTest, gemm) {
  for (int i = 0; i < 1500; ++i) {
    SCOPED_TRACE(i);
    const int rows = between(1, chance(20) ? 200 : 30), quads = between(0, chance(20) ? 90 : 12);
    const int channels = between(1, chance(30) ? 260 : 70), lanes = (channels + kLanes - 1) / kLanes * kLanes;
    const int panel_quads = quads + (chance(20) ? between(0, 5) : 0), pitch = lanes + (chance(30) ? 16 : 0);
    const bool exact = chance(30);
    const int a_stride = 4 * quads + (chance(50) ? between(0, 9) : 0);
    const auto a = bytes<std::uint8_t>(std::int64_t{rows} * a_stride);
    const auto w = bytes<std::int8_t>(std::int64_t{lanes} * 4 * panel_quads);
    const auto start = starts(lanes);
    const Finish how = finish(lanes, true);
    compare(
        std::int64_t{rows} * pitch,
        [&](const Kernels& kernels, std::uint8_t* out) {
          kernels.gemm({.a = a.data(),
                        .a_stride = a_stride,
                        .rows = rows,
                        .quads = quads,
                        .panel_quads = panel_quads,
                        .channels = channels,
                        .exact_store = exact,
                        .w = w.data(),
                        .start = start.data(),
                        .out = out,
                        .out_stride = pitch,
                        .finish = how});
        },
        [&](std::int64_t byte) {
          const bool inside = byte >= 0 && byte < std::int64_t{rows} * pitch;
          return !inside || byte % pitch < channels || byte % pitch >= lanes || exact;
        });
    if (HasFatalFailure()) return;
  }
}

TEST_F(KernelTest, depthwise) {
  for (int i = 0; i < 600; ++i) {
    SCOPED_TRACE(i);
    const int channels = 16 * between(1, 14), taps = between(1, 30), pixels = between(1, 4);
    const auto in = bytes<std::uint8_t>(std::int64_t{taps} * pixels * channels);
    const auto w = bytes<std::int8_t>(std::int64_t{(taps + 3) / 4} * 4 * channels);
    const auto start = starts(channels);
    const Finish how = finish(channels, true);
    std::vector<const std::uint8_t*> met;
    for (int t = 0; t < taps * pixels; ++t) met.push_back(in.data() + between(0, taps * pixels - 1) * channels);
    std::vector<std::int8_t> padded = w;  // taps that are not there have no weight
    std::int64_t first = 0;
    for (int c = 0; c < channels;) {
      const int block = depthwise_block(channels - c);
      for (int t = taps; t < (taps + 3) / 4 * 4; ++t) {
        for (int lane = 0; lane < block; ++lane) {
          padded[static_cast<std::size_t>(first + std::int64_t{t / 4} * 4 * block + 4 * lane + t % 4)] = 0;
        }
      }
      first += std::int64_t{(taps + 3) / 4} * 4 * block;
      c += block;
    }
    compare(
        std::int64_t{pixels} * channels,
        [&](const Kernels& kernels, std::uint8_t* out) {
          kernels.depthwise({.taps = met.data(),
                             .tap_count = taps,
                             .pixels = pixels,
                             .channels = channels,
                             .w = padded.data(),
                             .start = start.data(),
                             .out = out,
                             .out_stride = channels,
                             .finish = how});
        },
        [](std::int64_t) { return true; });
    if (HasFatalFailure()) return;
  }
}

TEST_F(KernelTest, depthwise_3x3) {
  for (int i = 0; i < 600; ++i) {
    SCOPED_TRACE(i);
    Depthwise3x3 d{.ih = between(1, 12), .iw = between(1, chance(20) ? 130 : 20), .channels = 16 * between(1, 9)};
    d.stride = between(1, 2);
    d.pad_top = between(0, 3);
    d.pad_left = between(0, 3);
    d.oh = std::max(1, (d.ih + d.pad_top + between(0, 3) - 3) / d.stride + 1);
    d.ow = std::max(1, (d.iw + d.pad_left + between(0, 3) - 3) / d.stride + 1);
    d.row_begin = between(0, d.oh - 1);
    d.row_end = between(d.row_begin, d.oh);
    d.zero = chance(50) ? 128 : 0;
    d.in_pitch = d.out_pitch = d.channels + (chance(30) ? 16 : 0);
    const auto in = bytes<std::uint8_t>(std::int64_t{d.ih} * d.iw * d.in_pitch);
    auto w = bytes<std::int8_t>(std::int64_t{24} * d.channels);
    const auto start = starts(d.channels);
    std::int64_t first = 0;
    for (int c = 0; c < d.channels;) {  // [w0 w1 w2 0] and [0 w0 w1 w2]
      const int block = depthwise_block(d.channels - c);
      for (int at = 0; at < 12 * block; at += 4) {
        std::int8_t* once = w.data() + first + at;
        once[3] = 0;
        once[12 * block] = 0;
        for (int k = 0; k < 3; ++k) once[12 * block + k + 1] = once[k];
      }
      first += 24 * block;
      c += block;
    }
    const std::vector<std::uint8_t> outside(
        static_cast<std::size_t>(depthwise_outside_bytes(static_cast<int>(d.in_pitch))), d.zero);
    d.in = in.data();
    d.outside = outside.data();
    d.w = w.data();
    d.start = start.data();
    d.finish = finish(d.channels, true, false);
    d.finish.kind = FinishKind::folded;
    d.finish.shift = between(0, 20);
    compare(
        std::int64_t{d.oh} * d.ow * d.out_pitch,
        [&](const Kernels& kernels, std::uint8_t* out) {
          Depthwise3x3 with = d;
          with.out = out;
          kernels.depthwise3x3(with);
        },
        [](std::int64_t) { return true; });
    if (HasFatalFailure()) return;
  }
}

TEST_F(KernelTest, elementwise) {
  for (int i = 0; i < 1500; ++i) {
    SCOPED_TRACE(i);
    const int count = between(1, 300);
    const auto a = bytes<std::uint8_t>(count), b = bytes<std::uint8_t>(count);
    const auto acc = starts(count);
    Add add{.a = a.data(), .b = b.data(), .count = count, .finish = finish(count, false, false)};
    (chance(50) ? add.shift_a : add.shift_b) = between(0, 12);
    add.zero_a = chance(50) ? 128 : 0;
    add.zero_b = chance(50) ? 128 : 0;
    const Finish how = finish(count, false);
    const auto all = [](std::int64_t) { return true; };
    compare(
        count,
        [&](const Kernels& kernels, std::uint8_t* out) {
          Add with = add;
          with.out = out;
          kernels.add(with);
        },
        all);
    compare(
        count, [&](const Kernels& kernels, std::uint8_t* out) { kernels.finish(how, acc.data(), out, count); }, all);
    compare(
        count,
        [&](const Kernels& kernels, std::uint8_t* out) { kernels.rescale(how, a.data(), add.zero_a, out, count); },
        all);
    const std::uint8_t* pixels[] = {a.data(), b.data(), a.data()};
    compare(
        count, [&](const Kernels& kernels, std::uint8_t* out) { kernels.max(pixels, between(3, 3), out, count); }, all);
    std::vector<std::int32_t> wanted(static_cast<std::size_t>(count)), found(wanted);
    kernels_portable.sum(pixels, 3, wanted.data(), count);
    kernels_for(detected_isa()).sum(pixels, 3, found.data(), count);
    ASSERT_EQ(found, wanted);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace binade::integer
