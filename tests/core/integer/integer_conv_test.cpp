// Convolutions of the integer machine against values computed by hand.
#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <vector>

#include "core/integer/program.hpp"

namespace binade {
namespace {

constexpr QuantSpec kSigned8{.frac = 0, .bits = 8, .is_signed = true};
constexpr QuantSpec kUnsigned8{.frac = 0, .bits = 8, .is_signed = false};
constexpr QuantSpec kSigned16{.frac = 0, .bits = 16, .is_signed = true};

/// A program of one convolution: the input at 0, the output after it, weights and biases as given.
struct Single {
  Program program;

  Single(ConvInstr conv, const std::vector<int>& weights, const std::vector<int>& biases) {
    const QuantSpec spec{.bits = conv.weight_bits};
    const auto weight_bytes = (weights.size() * static_cast<std::size_t>(code_bytes(spec)) + 3) / 4 * 4;
    program.constants.resize(weight_bytes + 4 * biases.size());
    for (std::size_t i = 0; i < weights.size(); ++i)
      store_code(program.constants.data(), static_cast<std::int64_t>(i), spec, weights[i]);
    for (std::size_t i = 0; i < biases.size(); ++i)
      std::memcpy(program.constants.data() + weight_bytes + 4 * i, &biases[i], 4);
    conv.bias = static_cast<std::uint32_t>(weight_bytes);
    conv.out.offset = 1024;
    program.arena_bytes = 2048;
    program.input = conv.in;
    program.output = conv.out;
    program.code.push_back({"conv", conv});
  }

  std::vector<int> run_on(const std::vector<int>& codes, RunStatistics* statistics = nullptr) const {
    AlignedVector<std::byte> arena(program.arena_bytes, std::byte{0xa5});
    std::vector<std::byte> in(static_cast<std::size_t>(bytes_of(program.input)));
    std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)));
    for (std::size_t i = 0; i < codes.size(); ++i)
      store_code(in.data(), static_cast<std::int64_t>(i), program.input.spec, codes[i]);
    run(program, in, out, arena, {.statistics = statistics});
    std::vector<int> result;
    for (std::int64_t i = 0; i < program.output.shape.count(); ++i)
      result.push_back(load_code(out.data(), i, program.output.spec));
    return result;
  }
};

using Codes = std::vector<int>;

TEST(IntegerConv, three_by_three_with_padding) {
  // 1 2 3      1 0 0          sum of the code above left, twice the centre, minus the code below
  // 4 5 6  *   0 2 0
  // 7 8 9      0 -1 0
  const Single conv({.in = {{1, 3, 3, 1}, kSigned8},
                     .out = {{1, 3, 3, 1}, kSigned8},
                     .kernel_h = 3,
                     .kernel_w = 3,
                     .pad_top = 1,
                     .pad_left = 1,
                     .acc_bound = 4 * 128 + 10,
                     .requant = {.lo = -128, .hi = 127}},
                    {1, 0, 0, 0, 2, 0, 0, -1, 0}, {10});
  EXPECT_EQ(conv.run_on({1, 2, 3, 4, 5, 6, 7, 8, 9}),
            (Codes{2 - 4 + 10, 4 - 5 + 10, 6 - 6 + 10, 8 - 7 + 10, 10 + 1 - 8 + 10, 12 + 2 - 9 + 10, 14 + 10,
                   16 + 4 + 10, 18 + 5 + 10}));
}

TEST(IntegerConv, stride_dilation_and_two_channels) {
  // 1 x 5 pixels of 2 channels, taps at columns x*2 - 1 and x*2 + 1; weights (1, 10) and (100, -1)
  const Single conv({.in = {{1, 1, 5, 2}, kUnsigned8},
                     .out = {{1, 1, 3, 1}, kSigned16},
                     .kernel_w = 2,
                     .stride_w = 2,
                     .pad_left = 1,
                     .dilation_w = 2,
                     .acc_bound = 112 * 255,
                     .requant = {.lo = -32768, .hi = 32767}},
                    {1, 10, 100, -1}, {0});
  EXPECT_EQ(conv.run_on({1, 2, 3, 4, 5, 6, 7, 8, 9, 255}), (Codes{300 - 4, 3 + 40 + 700 - 8, 7 + 80}));
}

TEST(IntegerConv, groups_and_depthwise) {
  // Two groups of two input channels and one output channel; then four groups of one.
  ConvInstr conv{.in = {{1, 1, 1, 4}, kSigned8},
                 .out = {{1, 1, 1, 2}, kSigned16},
                 .groups = 2,
                 .acc_bound = 14 * 128,
                 .requant = {.lo = -32768, .hi = 32767}};
  EXPECT_EQ(Single(conv, {1, 2, 3, -4}, {0, 7}).run_on({10, 20, 30, 40}), (Codes{50, 90 - 160 + 7}));
  conv.out.shape.c = conv.groups = 4;
  EXPECT_EQ(Single(conv, {1, 2, 3, -4}, {0, 7, 0, 0}).run_on({10, 20, 30, 40}), (Codes{10, 47, 90, -160}));
}

TEST(IntegerConv, transposed) {
  // Each input spreads (1, 10, 100) over three outputs, two apart; the first output column is cut off by the padding.
  const Single conv({.in = {{1, 1, 3, 1}, kSigned8},
                     .out = {{1, 1, 6, 1}, kSigned16},
                     .kernel_w = 3,
                     .stride_w = 2,
                     .pad_left = 1,
                     .transposed = true,
                     .acc_bound = 111 * 128,
                     .requant = {.lo = -32768, .hi = 32767}},
                    {1, 10, 100}, {0});
  EXPECT_EQ(conv.run_on({1, 2, 3}), (Codes{10, 100 + 2, 20, 200 + 3, 30, 300}));
}

TEST(IntegerConv, rounding_and_statistics) {
  const Single conv({.in = {{1, 1, 6, 1}, kSigned16},
                     .out = {{1, 1, 6, 1}, kSigned8},
                     .weight_bits = 8,
                     .bias_shift = 1,
                     .acc_bound = 32768 * 2 + 6,
                     .requant = {.shift = 4, .rounding = Rounding::half_away, .lo = -128, .hi = 127}},
                    {2}, {3});
  // acc = 2x + 6; code = round(acc / 16), ties away from zero
  RunStatistics statistics;
  EXPECT_EQ(conv.run_on({1, -7, 9, -19, 30000, -32768}, &statistics), (Codes{1, -1, 2, -2, 127, -128}));
  ASSERT_EQ(statistics.instructions.size(), 1u);
  EXPECT_EQ(statistics.instructions[0].worst_acc, 65530);
  EXPECT_EQ(statistics.instructions[0].saturated, 2);
  EXPECT_EQ(statistics.instructions[0].codes, 6);
  EXPECT_EQ(statistics.instructions[0].acc_beyond, 0);
}

TEST(IntegerConv, accumulators_beyond_32_bits_are_exact_and_counted) {
  ConvInstr conv{.in = {{1, 1, 1, 4}, kSigned16},
                 .out = {{1, 1, 1, 1}, kSigned16},
                 .weight_bits = 16,
                 .acc_bound = std::int64_t{4} << 30,
                 .requant = {.shift = 18, .lo = -32768, .hi = 32767}};
  const Single single(conv, {-32768, -32768, -32768, -32768}, {0});
  RunStatistics statistics;
  EXPECT_EQ(single.run_on({-32768, -32768, -32768, -32768}, &statistics), (Codes{1 << 14}));
  EXPECT_EQ(statistics.instructions[0].worst_acc, std::int64_t{4} << 30);
  EXPECT_EQ(statistics.instructions[0].acc_beyond, 1);
}

}  // namespace
}  // namespace binade
