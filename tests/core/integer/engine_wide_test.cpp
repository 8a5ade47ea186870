// 16-bit layers of the engine at the ends of their ranges: sums that attain their bounds, weights that leave no room.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/engine.hpp"
#include "tests/harness/random_program.hpp"

namespace binade {
namespace {

using Codes = std::vector<std::byte>;

enum class Weights { lowest, highest, ends, lowest_pairs, normal, small };
enum class Inputs { lowest, highest, ends, attaining, any };

struct Layer {
  Shape in{1, 5, 7, 20};
  int outs = 40, kernel = 1, stride = 1, pad = 0;
  bool depthwise = false;
  QuantSpec in_spec{.bits = 16, .is_signed = true}, out_spec{.bits = 16, .is_signed = true};
  int weight_bits = 16;
  Weights weights = Weights::ends;
  Rounding rounding = Rounding::half_up;
  int shift = 20;
};

class WideTest : public ::testing::Test {
 protected:
  int between(int lo, int hi) { return lo + static_cast<int>(random_.below(static_cast<std::uint64_t>(hi - lo) + 1)); }

  std::int32_t weight_of(const Layer& layer, std::int64_t i) {
    const std::int32_t hi = (1 << (layer.weight_bits - 1)) - 1, lo = -hi - 1;
    switch (layer.weights) {
      case Weights::lowest: return lo;
      case Weights::highest: return hi;
      case Weights::ends: return between(0, 1) == 0 ? lo : hi;
      case Weights::lowest_pairs: return i % 7 < 2 ? lo : between(-9, 9);
      case Weights::normal: return std::clamp(static_cast<std::int32_t>(random_.normal() * hi / 8), lo, hi);
      case Weights::small: return between(-3, 3);
    }
    return 0;
  }

  Program program_of(const Layer& layer) {
    Program program;
    program.target = "test";
    ConvInstr conv{.kernel_h = layer.kernel,
                   .kernel_w = layer.kernel,
                   .stride_h = layer.stride,
                   .stride_w = layer.stride,
                   .pad_top = layer.pad,
                   .pad_left = layer.pad};
    conv.groups = layer.depthwise ? layer.in.c : 1;
    conv.weight_bits = static_cast<std::uint8_t>(layer.weight_bits);
    Shape out = layer.in;
    out.h = (layer.in.h + 2 * layer.pad - layer.kernel) / layer.stride + 1;
    out.w = (layer.in.w + 2 * layer.pad - layer.kernel) / layer.stride + 1;
    out.c = layer.depthwise ? layer.in.c : layer.outs;
    conv.in = {layer.in, layer.in_spec, 0};
    conv.out = {out, layer.out_spec, align(bytes_of(conv.in))};
    program.arena_bytes = conv.out.offset + align(bytes_of(conv.out));
    const QuantSpec spec{.bits = conv.weight_bits, .is_signed = true};
    const std::int64_t count = std::int64_t{out.c} * layer.kernel * layer.kernel * (layer.in.c / conv.groups);
    conv.bias = align(count * code_bytes(spec));
    program.constants.resize(conv.bias + 4 * static_cast<std::size_t>(out.c));
    for (std::int64_t i = 0; i < count; ++i) store_code(program.constants.data(), i, spec, weight_of(layer, i));
    for (int o = 0; o < out.c; ++o) {
      const std::int32_t bias = between(0, 3) == 0 ? (between(0, 1) == 0 ? INT32_MIN : INT32_MAX) : between(-999, 999);
      std::memcpy(program.constants.data() + conv.bias + 4 * static_cast<std::size_t>(o), &bias, sizeof bias);
    }
    conv.acc_bound = accumulator_bound(conv, program.constants);
    conv.requant = {.shift = layer.shift,
                    .rounding = layer.rounding,
                    .lo = static_cast<std::int32_t>(layer.out_spec.min_code()),
                    .hi = static_cast<std::int32_t>(layer.out_spec.max_code())};
    program.input = conv.in;
    program.output = conv.out;
    program.tensors = {{"in", conv.in, -1}, {"out", conv.out, 0}};
    program.code.push_back({"out", conv});
    return program;
  }
  static std::uint32_t align(std::int64_t bytes) {
    return static_cast<std::uint32_t>((bytes + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment);
  }

  /// `attaining`: the codes that, met by the first window, make the first channel's sum as large or as small as can be.
  Codes input_of(const Program& program, Inputs kind) {
    const auto& conv = std::get<ConvInstr>(program.code[0].operation);
    const QuantSpec spec = conv.in.spec, weight_spec{.bits = conv.weight_bits, .is_signed = true};
    const auto lo = static_cast<std::int32_t>(spec.min_code()), hi = static_cast<std::int32_t>(spec.max_code());
    Codes codes(static_cast<std::size_t>(bytes_of(conv.in)));
    const bool largest = between(0, 1) == 0;
    const Shape shape = conv.in.shape;
    for (std::int64_t i = 0; i < shape.count(); ++i) {
      std::int32_t code = between(lo, hi);
      if (kind == Inputs::lowest) code = lo;
      if (kind == Inputs::highest) code = hi;
      if (kind == Inputs::ends) code = between(0, 1) == 0 ? lo : hi;
      if (kind == Inputs::attaining) {
        const std::int64_t c = i % shape.c, x = i / shape.c % shape.w % conv.kernel_w;
        const std::int64_t y = i / shape.c / shape.w % conv.kernel_h;
        const std::int64_t tap = y * conv.kernel_w + x;
        const std::int64_t at = conv.groups > 1 ? c * conv.kernel_h * conv.kernel_w + tap : tap * shape.c + c;
        code = (load_code(program.constants.data(), at, weight_spec) > 0) == largest ? hi : lo;
      }
      store_code(codes.data(), i, spec, code);
    }
    return codes;
  }

  /// Two images, on every instruction set and several numbers of threads.
  void check(const Layer& layer) {
    const Program program = program_of(layer);
    ASSERT_NO_THROW(validate(program));
    for (const Inputs kind : {Inputs::lowest, Inputs::highest, Inputs::ends, Inputs::attaining, Inputs::any}) {
      const Codes in = input_of(program, kind);
      const auto reference = harness::run_reference(program, in);
      if (kind == Inputs::attaining && layer.pad == 0 && layer.depthwise) {
        attained_ += reference.statistics.instructions[0].worst_acc > INT32_MAX ? 1 : 0;
      }
      Codes both = in, expected = reference.out;
      both.insert(both.end(), in.begin(), in.end());
      expected.insert(expected.end(), reference.out.begin(), reference.out.end());
      for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
        if (isa > detected_isa()) continue;
        Engine engine(program, {.isa = isa});
        for (const int threads : {1, 2, 3}) {
          set_thread_count(threads);
          Codes out(expected.size()), one(reference.out.size());
          engine.run(both, out, 2);
          engine.run(in, one);
          set_thread_count(0);
          ASSERT_EQ(out, expected) << to_string(isa) << ", " << threads << " threads, inputs "
                                   << static_cast<int>(kind);
          ASSERT_EQ(one, reference.out) << to_string(isa) << ", one image";
        }
      }
    }
  }

  Layer random_layer(bool depthwise) {
    Layer layer{.depthwise = depthwise};
    const bool three = depthwise || between(0, 2) == 0;
    layer.kernel = three ? 3 : (between(0, 5) == 0 ? 5 : 1);
    layer.in = {1, between(layer.kernel, 9), between(layer.kernel, 14), between(depthwise ? 2 : 1, 70)};
    layer.outs = between(1, 80);
    layer.stride = between(1, 2);
    layer.pad = between(0, layer.kernel / 2);
    layer.in_spec = {.bits = static_cast<std::uint8_t>(between(0, 3) == 0 ? 8 : 16), .is_signed = between(0, 1) == 0};
    layer.out_spec = {.bits = static_cast<std::uint8_t>(between(0, 3) == 0 ? 8 : 16), .is_signed = between(0, 1) == 0};
    layer.weight_bits = between(0, 2) == 0 ? 8 : 16;
    layer.weights = static_cast<Weights>(between(0, 5));
    layer.rounding = between(0, 1) == 0 ? Rounding::half_up : static_cast<Rounding>(between(0, 2));
    layer.shift = between(0, 36);
    return layer;
  }

  Random random_{7};
  int attained_ = 0;  ///< depthwise layers with a sum that 32 bits do not hold
};

TEST_F(WideTest, dense_layers_at_the_ends_of_their_ranges) {
  for (int i = 0; i < 120; ++i) {
    SCOPED_TRACE("layer " + std::to_string(i));
    check(random_layer(false));
    if (HasFatalFailure()) return;
  }
}

TEST_F(WideTest, depthwise_layers_at_the_ends_of_their_ranges) {
  for (int i = 0; i < 120; ++i) {
    SCOPED_TRACE("layer " + std::to_string(i));
    check(random_layer(true));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(attained_, 10);
}

/// The largest |sum| that is proven possible is met, and one more would not fit: chunks of all lengths.
TEST_F(WideTest, sums_attain_their_bounds) {
  for (const Weights weights : {Weights::lowest, Weights::highest, Weights::ends, Weights::normal}) {
    for (const int channels : {1, 2, 3, 4, 31, 64, 333}) {
      const Layer layer{.in = {1, 1, 1, channels}, .outs = 33, .weights = weights, .shift = 24};
      const Program program = program_of(layer);
      const auto& conv = std::get<ConvInstr>(program.code[0].operation);
      check(layer);
      if (HasFatalFailure()) return;
      EXPECT_GT(conv.acc_bound, std::int64_t{channels} * 1000);
    }
  }
}

}  // namespace
}  // namespace binade
