// What validate() refuses, and the sentences it says; and hand-made flows of data through the arena.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/integer/program.hpp"

namespace binade {
namespace {

constexpr QuantSpec kS8{.frac = 4, .bits = 8, .is_signed = true};
constexpr Requant kWhole{.lo = -128, .hi = 127};
constexpr std::uint32_t kSlopes = 64, kBias = 128, kTable = 256, kTaps = 512, kExponentials = 640;

void put_int32(Program& program, std::uint32_t offset, const std::vector<std::int32_t>& values) {
  std::memcpy(program.constants.data() + offset, values.data(), 4 * values.size());
}

Region at(std::uint32_t offset, Shape shape, QuantSpec spec = kS8) {
  return {shape, spec, offset};
}

/// One 4x4x2 input at 0, one instruction to 64, constants for all.
template <class Instr>
Program single(Instr instr, Shape out = {1, 4, 4, 2}) {
  Program program;
  program.constants.resize(1024);
  put_int32(program, kBias, {10, -20});
  put_int32(program, kSlopes, {3, -5});
  put_int32(program, kTaps, {0, 1, 1, 1, 2, 0, 2, 3, 2, 3, 3, 0});
  put_int32(program, kExponentials, {100, 50, 0});
  program.input = at(0, {1, 4, 4, 2});
  if constexpr (requires { instr.in; }) {
    instr.in = program.input;
  } else {
    instr.a = program.input;
    instr.b = {{1, 1, 1, 2}, kS8, 0, true};
  }
  instr.out = program.output = at(64, out);
  if constexpr (requires { instr.requant; }) {
    instr.requant = kWhole;
    instr.requant.slopes = kSlopes;
  }
  program.arena_bytes = 256;
  program.tensors = {{"image", program.input, -1}, {"it", program.output, 0}};
  program.code.push_back({"it", instr});
  return program;
}

Program conv() {
  ConvInstr instr{.kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .bias = kBias, .acc_bound = 100};
  Program program = single(instr);
  for (int i = 0; i < 36; ++i) store_code(program.constants.data(), i, kS8, i - 18);
  auto& made = std::get<ConvInstr>(program.code[0].operation);
  made.acc_bound = accumulator_bound(made, program.constants);
  return program;
}

std::string refusal(const Program& program) {
  try {
    validate(program);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

/// That `edit` makes a valid program one that is refused with `words`.
template <class Instr>
void expect(Program program, const std::string& words, const std::function<void(Instr&)>& edit) {
  ASSERT_EQ(refusal(program), "");
  edit(std::get<Instr>(program.code[0].operation));
  const std::string message = refusal(program);
  EXPECT_NE(message.find(words), std::string::npos) << "want: " << words << "\ngot: " << message;
  const std::string place = "instruction 0 'it' (" + std::string(Instr::name) + "): ";
  EXPECT_TRUE(message.starts_with(place)) << message;
}

TEST(Validate, regions) {
  const auto refuses = [](const std::string& words, auto edit) { expect<ConvInstr>(conv(), words, edit); };
  refuses("in has shape 2x4x4x2, want one image", [](ConvInstr& i) { i.in.shape.n = 2; });
  refuses("in has shape 1x0x4x2", [](ConvInstr& i) { i.in.shape.h = 0; });
  refuses("out has shape 1x-4x4x2", [](ConvInstr& i) { i.out.shape.h = -4; });
  refuses("at most 2^31 codes", [](ConvInstr& i) { i.in.shape = {1, 1 << 20, 1 << 20, 1 << 20}; });
  refuses("in has 1 bits", [](ConvInstr& i) { i.in.spec.bits = 1; });
  refuses("out has 17 bits", [](ConvInstr& i) { i.out.spec.bits = 17; });
  refuses("frac 101", [](ConvInstr& i) { i.in.spec.frac = 101; });
  refuses("begins at byte 32, want a multiple of 64", [](ConvInstr& i) { i.in.offset = 32; });
  refuses("takes the bytes 256 .. 288 of an arena of 256 bytes", [](ConvInstr& i) { i.out.offset = 256; });
  refuses("4294967232", [](ConvInstr& i) { i.in.offset = 0xffffffc0U; });
  refuses("in is a constant", [](ConvInstr& i) { i.in.constant = true; });
  refuses("out is a constant", [](ConvInstr& i) { i.out.constant = true; });
  refuses("the bytes of in (32 on from 0) overlap those of out (32 on from 0)", [](ConvInstr& i) { i.out.offset = 0; });
}

TEST(Validate, convolutions) {
  const auto refuses = [](const std::string& words, auto edit) { expect<ConvInstr>(conv(), words, edit); };
  refuses("kernel_h is 0, want 1 .. ", [](ConvInstr& i) { i.kernel_h = 0; });
  refuses("stride_w is -1", [](ConvInstr& i) { i.stride_w = -1; });
  refuses("dilation_h is 0", [](ConvInstr& i) { i.dilation_h = 0; });
  refuses("the padding before w is -1", [](ConvInstr& i) { i.pad_left = -1; });
  refuses("the last of 4 windows along h begins at 8, far behind the input's 4", [](ConvInstr& i) { i.stride_h = 3; });
  refuses("inputs reach only 6", [](ConvInstr& i) {
    i.transposed = true;
    i.pad_left = 9;
  });
  refuses("3 groups do not divide", [](ConvInstr& i) { i.groups = 3; });
  refuses("0 groups do not divide", [](ConvInstr& i) { i.groups = 0; });
  refuses("weight_bits is 1", [](ConvInstr& i) { i.weight_bits = 1; });
  refuses("a weight's code is -18, want -16 .. 15", [](ConvInstr& i) { i.weight_bits = 5; });
  refuses("the weights are 36 values of 1 bytes at 1000", [](ConvInstr& i) { i.weights = 1000; });
  refuses("the weights", [](ConvInstr& i) { i.weights = 0xffffffffU; });
  refuses("the biases are 2 values of 4 bytes at 1020", [](ConvInstr& i) { i.bias = 1020; });
  refuses("larger than constants can be", [](ConvInstr& i) { i.kernel_h = i.kernel_w = i.pad_top = 1 << 20; });
  refuses("bias_shift is 32", [](ConvInstr& i) { i.bias_shift = 32; });
  refuses("but weights and biases allow", [](ConvInstr& i) { --i.acc_bound; });
  refuses("but weights and biases allow", [](ConvInstr& i) { i.bias_shift = 20; });
  refuses("does not fit in 62 bits", [](ConvInstr& i) { i.acc_bound = INT64_MAX; });
}

TEST(Validate, requantization) {
  const auto refuses = [](const std::string& words, const std::function<void(Requant&)>& edit) {
    expect<ConvInstr>(conv(), words, [&](ConvInstr& i) { edit(i.requant); });
  };
  refuses("shift is 64, want -62 .. 63", [](Requant& r) { r.shift = 64; });
  refuses("shift is -63", [](Requant& r) { r.shift = -63; });
  refuses("after its slope and a shift of -60", [](Requant& r) { r.shift = -60; });
  refuses("rounding is 3", [](Requant& r) { r.rounding = static_cast<Rounding>(3); });
  refuses("lo is -129, want -128 .. 127", [](Requant& r) { r.lo = -129; });
  refuses("hi is 128, want -128 .. 127", [](Requant& r) { r.hi = 128; });
  refuses("hi is 3, want 5 .. 127", [](Requant& r) { r.lo = 5, r.hi = 3; });
  refuses("slope_count is 3, want 0, 1 or one for each of 2 channels", [](Requant& r) { r.slope_count = 3; });
  refuses("slope_frac is 25", [](Requant& r) { r.slope_count = 2, r.slope_frac = 25; });
  refuses("the slopes are 2 values of 4 bytes at 1020", [](Requant& r) { r.slope_count = 2, r.slopes = 1020; });
}

TEST(Validate, elementwise_operations) {
  const Program add = single(AddInstr{}), mul = single(MulInstr{}), rescale = single(RescaleInstr{});
  expect<AddInstr>(add, "b has shape 1x1x1x3", [](AddInstr& i) { i.b.shape.c = 3; });
  expect<AddInstr>(add, "b is a constant", [](AddInstr& i) { i.a = {{1, 1, 1, 2}, kS8, 0, true}; });
  expect<AddInstr>(add, "shift_a is 32", [](AddInstr& i) { i.shift_a = 32; });
  expect<AddInstr>(add, "want one of them to be 0", [](AddInstr& i) { i.shift_a = i.shift_b = 1; });
  expect<AddInstr>(add, "the codes of b are 2 values of 1 bytes at 1024", [](AddInstr& i) { i.b.offset = 1024; });
  expect<AddInstr>(add, "a constant code is", [](AddInstr& i) {
    i.b.spec.bits = 3;
    i.b.offset = kBias;
  });
  expect<MulInstr>(mul, "a has shape 1x4x4x2, want that of out, 1x4x2x2", [](MulInstr& i) { i.out.shape.w = 2; });
  expect<RescaleInstr>(rescale, "want the same height and width", [](RescaleInstr& i) { i.out.shape.h = 2; });
  expect<RescaleInstr>(rescale, "first_channel is 1, want 0 .. 0", [](RescaleInstr& i) { i.first_channel = 1; });
  const Program table = single(TableInstr{.table = kTable});
  expect<TableInstr>(table, "the codes of the table are 256 values", [](TableInstr& i) { i.table = 800; });
  expect<TableInstr>(table, "a code of the table is 10, want -8 .. 7", [](TableInstr& i) {
    i.table = kBias;
    i.out.spec.bits = 4;
  });
  expect<TableInstr>(table, "want the same", [](TableInstr& i) { i.out.shape = {1, 4, 2, 4}; });
}

TEST(Validate, operations_that_move_codes) {
  const Program slice = single(SliceInstr{.axis = 2, .begin = 1, .step = 2}, {1, 4, 2, 2});
  expect<SliceInstr>(slice, "axis is 0", [](SliceInstr& i) { i.axis = 0; });
  expect<SliceInstr>(slice, "step is 0", [](SliceInstr& i) { i.step = 0; });
  expect<SliceInstr>(slice, "begin is -1", [](SliceInstr& i) { i.begin = -1; });
  expect<SliceInstr>(slice, "element 4 of 4 is taken along axis 2", [](SliceInstr& i) { i.step = 3; });
  expect<SliceInstr>(slice, "along axis 1 only", [](SliceInstr& i) {
    i.axis = i.step = 1;
    i.begin = 0;
  });
  expect<SliceInstr>(slice, "want the same", [](SliceInstr& i) { i.out.spec.frac = 3; });
  const Program pad = single(PadInstr{.top = 1}, {1, 6, 4, 2});
  expect<PadInstr>(pad, "top is 3, want 0 .. 2", [](PadInstr& i) { i.top = 3; });
  expect<PadInstr>(pad, "left is 1, want 0 .. 0", [](PadInstr& i) { i.left = 1; });
  expect<PadInstr>(pad, "first_channel is -1", [](PadInstr& i) { i.first_channel = -1; });
  expect<PadInstr>(pad, "fill is 128", [](PadInstr& i) { i.fill = 128; });
  const Program reshape = single(ReshapeInstr{}, {1, 1, 1, 32});
  expect<ReshapeInstr>(reshape, "want as many codes", [](ReshapeInstr& i) { i.out.shape.c = 31; });
}

TEST(Validate, pooling_resizing_softmax) {
  const Program max = single(MaxPoolInstr{}, {1, 2, 2, 2}), avg = single(AvgPoolInstr{}, {1, 2, 2, 2});
  expect<MaxPoolInstr>(max, "lies outside the input", [](MaxPoolInstr& i) { i.pad_top = 2; });
  expect<MaxPoolInstr>(max, "the last of 2 windows along w begins at 4 of 4", [](MaxPoolInstr& i) { i.stride_w = 4; });
  expect<MaxPoolInstr>(max, "in has 2 channels, out 1", [](MaxPoolInstr& i) { i.out.shape.c = 1; });
  expect<AvgPoolInstr>(avg, "lies outside the input", [](AvgPoolInstr& i) { i.pad_left = 2; });
  expect<AvgPoolInstr>(avg, "pad_bottom is -1", [](AvgPoolInstr& i) { i.pad_bottom = -1; });
  expect<AvgPoolInstr>(avg, "a divisor of 4 and a shift of 60", [](AvgPoolInstr& i) { i.requant.shift = 60; });
  const Program resize = single(ResizeInstr{.weight_bits = 1, .rows = kTaps, .columns = kTaps});
  expect<ResizeInstr>(resize, "weight_bits is 12", [](ResizeInstr& i) { i.weight_bits = 12; });
  expect<ResizeInstr>(resize, "weight of the rows at 2 is 2, want 0 .. 1", [](ResizeInstr& i) { i.weight_bits = 0; });
  expect<ResizeInstr>(resize, "first of the columns at 0 is 10, want 0 .. 3",
                      [](ResizeInstr& i) { i.columns = kBias; });
  expect<ResizeInstr>(resize, "the rows are 4 values of 12 bytes", [](ResizeInstr& i) { i.rows = 1000; });
  Program softmax = single(SoftmaxInstr{.exponentials = kExponentials, .count = 3});
  std::get<SoftmaxInstr>(softmax.code[0].operation).requant.shift = -4;
  expect<SoftmaxInstr>(softmax, "count is 257", [](SoftmaxInstr& i) { i.count = 257; });
  expect<SoftmaxInstr>(softmax, "the last of 2 exponentials is 50", [](SoftmaxInstr& i) { i.count = 2; });
  expect<SoftmaxInstr>(softmax, "the first exponential is 0", [](SoftmaxInstr& i) { i.exponentials += 8; });
  expect<SoftmaxInstr>(softmax, "exponential 1 is -20", [](SoftmaxInstr& i) { i.exponentials = kBias; });
  expect<SoftmaxInstr>(softmax, "want minus the output's frac", [](SoftmaxInstr& i) { i.requant.shift = -3; });
}

TEST(Validate, the_program_itself) {
  const auto refuses = [](const std::string& words, const std::function<void(Program&)>& edit) {
    Program program = conv();
    edit(program);
    EXPECT_NE(refusal(program).find(words), std::string::npos) << "want: " << words << "\ngot: " << refusal(program);
  };
  refuses("accumulator_bits is 15", [](Program& p) { p.accumulator_bits = 15; });
  refuses("accumulator_bits is 65", [](Program& p) { p.accumulator_bits = 65; });
  refuses("arena_bytes is 4294967295", [](Program& p) { p.arena_bytes = 0xffffffffU; });
  refuses("the input takes the bytes", [](Program& p) { p.input.offset = 256; });
  refuses("the output is a constant", [](Program& p) { p.output.constant = true; });
  refuses("tensor 'it': after is 1, want -1 .. 0", [](Program& p) { p.tensors[1].after = 1; });
  refuses("tensor 'image': after is -1, want 0 .. 0", [](Program& p) { std::swap(p.tensors[0], p.tensors[1]); });
  refuses("tensor 'it': it, after instruction -1, the bytes 64 .. 96, holds no tensor",
          [](Program& p) { p.tensors[1].after = -1; });
}

/// Programs of rescalings of 4x4x2 tensors (32 bytes each): from, to, first channel, channels of the result.
struct Step {
  std::uint32_t from, to;
  int first = 0, channels = 2;
};
std::string flow(const std::vector<Step>& steps, Region output) {
  Program program;
  program.input = at(0, {1, 4, 4, 2});
  program.output = output;
  program.arena_bytes = 512;
  for (const Step& step : steps) {
    program.code.push_back({"r", RescaleInstr{.in = at(step.from, {1, 4, 4, 2}),
                                              .out = at(step.to, {1, 4, 4, step.channels}),
                                              .first_channel = step.first,
                                              .requant = kWhole}});
  }
  return refusal(program);
}

TEST(Validate, nothing_is_read_before_it_is_written_or_after_it_was_overwritten) {
  const Region last = at(128, {1, 4, 4, 2}), wide = at(128, {1, 4, 4, 4});
  EXPECT_EQ(flow({{0, 64}, {64, 128}}, last), "");
  EXPECT_NE(flow({{64, 128}, {0, 64}}, last).find("instruction 0 'r' (rescale): an operand, the bytes 64 .. 96"),
            std::string::npos);
  EXPECT_EQ(flow({{0, 64}, {64, 0}, {0, 128}}, last), "") << "memory may be used again";
  EXPECT_NE(flow({{0, 64}, {64, 192, 0, 4}}, last).find("the program: the output"), std::string::npos);
  // A wider result written over the input.
  EXPECT_NE(flow({{0, 64}, {64, 128}, {128, 0, 0, 6}, {64, 192}, {192, 128}}, last)
                .find("instruction 3 'r' (rescale): an operand"),
            std::string::npos);
  // Concatenation: both halves, either order; one half; the same half twice; a half after something else.
  EXPECT_EQ(flow({{0, 128, 0, 4}, {0, 128, 2, 4}}, wide), "");
  EXPECT_EQ(flow({{0, 128, 2, 4}, {0, 128, 0, 4}}, wide), "");
  EXPECT_NE(flow({{0, 128, 0, 4}}, wide).find("before all its channels are written"), std::string::npos);
  EXPECT_NE(flow({{0, 128, 0, 4}, {0, 128, 0, 4}}, wide).find("before all its channels"), std::string::npos);
  EXPECT_NE(flow({{0, 128, 0, 4}, {0, 128}, {0, 128, 2, 4}}, wide).find("before all its channels"), std::string::npos);
  // The same bytes under other extents, a part of them, or under another spec: the engine has its own layouts.
  EXPECT_NE(flow({{0, 128}}, at(128, {1, 1, 1, 32})).find("the tensor there is 1x4x4x2"), std::string::npos);
  EXPECT_NE(flow({{0, 128}}, at(128, {1, 2, 4, 2})).find("the tensor there is 1x4x4x2"), std::string::npos);
  EXPECT_NE(flow({{0, 128}}, at(128, {1, 4, 4, 3})).find("holds no tensor"), std::string::npos);
  EXPECT_NE(flow({{0, 128}}, at(128, {1, 4, 4, 2}, {.frac = 5})).find("is read as 8 bits, frac 5"), std::string::npos);
}

TEST(Validate, the_bound_of_accumulators_is_that_of_the_worst_input) {
  // Output 0: weights -18 .. -1, bias 10; output 1: 0 .. 17, bias -20. Codes -128 .. 127.
  const Program program = conv();
  const std::int64_t up = 171 * 128 + 10, down = 153 * 128 + 20;
  EXPECT_EQ(std::get<ConvInstr>(program.code[0].operation).acc_bound, std::max(up, down));
}

}  // namespace
}  // namespace binade
