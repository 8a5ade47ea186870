// The interpreter against the naive machine, instruction by instruction, on random programs.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "tests/harness/check_op.hpp"
#include "tests/harness/random_program.hpp"
#include "tests/reference/integer_reference.hpp"

namespace binade {
namespace {

/// The naive machine's arena after every instruction, -1 first.
struct Expected {
  std::vector<AlignedVector<std::byte>> arenas;
  std::vector<InstructionStatistics> statistics;
};

Expected run_naively(const Program& program, const std::vector<std::byte>& in) {
  Expected expected;
  AlignedVector<std::byte> arena(program.arena_bytes, std::byte{0xa5});
  std::copy(in.begin(), in.end(), arena.begin() + program.input.offset);
  expected.arenas.push_back(arena);
  for (std::size_t i = 0; i < program.code.size(); ++i) {
    expected.statistics.push_back(reference::run_instruction(program, i, arena));
    expected.arenas.push_back(arena);
  }
  return expected;
}

/// What `after` looks at: the whole arena, each time.
struct Watch {
  const Expected* expected;
  const AlignedVector<std::byte>* arena;
  std::vector<int> differing;
  int calls = 0;

  static void look(void* context, std::int32_t instruction) {
    auto* watch = static_cast<Watch*>(context);
    ++watch->calls;
    if (watch->expected->arenas[static_cast<std::size_t>(instruction + 1)] != *watch->arena)
      watch->differing.push_back(instruction);
  }
};

void expect_equal(const InstructionStatistics& found, const InstructionStatistics& wanted) {
  EXPECT_EQ(found.worst_acc, wanted.worst_acc);
  EXPECT_EQ(found.acc_beyond, wanted.acc_beyond);
  EXPECT_EQ(found.saturated, wanted.saturated);
  EXPECT_EQ(found.codes, wanted.codes);
}

void check_program(const Program& program, Random& random) {
  ASSERT_NO_THROW(validate(program));
  const auto in = harness::random_codes(random, program.input);
  const Expected expected = run_naively(program, in);
  AlignedVector<std::byte> arena(program.arena_bytes, std::byte{0xa5});
  std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)));
  RunStatistics statistics;
  Watch watch{.expected = &expected, .arena = &arena, .differing = {}};
  run(program, in, out, arena, {.statistics = &statistics, .after = Watch::look, .context = &watch});
  EXPECT_EQ(watch.calls, static_cast<int>(program.code.size()) + 1);
  for (const int i : watch.differing)
    ADD_FAILURE() << "the arena differs after instruction " << i << " ("
                  << (i < 0 ? "input" : operation_name(program.code[static_cast<std::size_t>(i)].operation)) << ")";
  EXPECT_EQ(std::memcmp(out.data(), arena.data() + program.output.offset, out.size()), 0);
  ASSERT_EQ(statistics.instructions.size(), program.code.size());
  for (std::size_t i = 0; i < program.code.size(); ++i)
    expect_equal(statistics.instructions[i], expected.statistics[i]);
}

/// One test per operation: single instructions.
class IntegerReference : public testing::TestWithParam<int> {};

TEST_P(IntegerReference, equals_the_naive_machine) {
  harness::fuzz(GetParam() == 0 ? 6000 : 1500, [](std::uint64_t, Random& random) {
    const Program program = harness::random_program(random, {.operation = GetParam()});
    check_program(program, random);
  });
}

INSTANTIATE_TEST_SUITE_P(operations, IntegerReference,
                         testing::Range(0, static_cast<int>(std::variant_size_v<Operation>)));

TEST(IntegerReferenceChains, equal_the_naive_machine) {
  harness::fuzz(1500, [](std::uint64_t, Random& random) {
    const Program program = harness::random_program(random, {.instructions = 6, .max_extent = 6, .max_channels = 10});
    check_program(program, random);
  });
}

TEST(IntegerReferenceChains, do_not_depend_on_the_thread_count) {
  const int before = thread_count();
  harness::fuzz(60, [](std::uint64_t, Random& random) {
    const Program program = harness::random_program(random, {.instructions = 4, .max_extent = 40, .max_channels = 30});
    const auto in = harness::random_codes(random, program.input);
    std::vector<harness::ProgramRun> runs;
    for (const int threads : {1, 2, 5}) {
      set_thread_count(threads);
      runs.push_back(harness::run_reference(program, in));
    }
    for (const auto& other : runs) {
      EXPECT_EQ(other.out, runs[0].out);
      EXPECT_EQ(other.arena, runs[0].arena);
      for (std::size_t i = 0; i < program.code.size(); ++i)
        expect_equal(other.statistics.instructions[i], runs[0].statistics.instructions[i]);
    }
  });
  set_thread_count(before);
}

/// A program of one 1x1 convolution with random weights on one pixel; biases are 0, so that they are on no side.
Program random_product(Random& random) {
  Program program = harness::random_program(random, {.operation = 0});
  auto& conv = std::get<ConvInstr>(program.code[0].operation);
  conv.transposed = false;
  conv.kernel_h = conv.kernel_w = conv.dilation_h = conv.dilation_w = conv.groups = 1;
  conv.pad_top = conv.pad_left = 0;
  conv.in.shape = {1, 1, 1, harness::between(random, 1, 200)};
  conv.out.shape = {1, 1, 1, harness::between(random, 1, 5)};
  conv.out.offset = 4096;
  program.arena_bytes = 8192;
  const Region weights{{1, 1, 1, conv.in.shape.c * conv.out.shape.c}, {.bits = conv.weight_bits}};
  program.constants = harness::random_codes(random, weights);
  conv.weights = 0;
  conv.bias = static_cast<std::uint32_t>(program.constants.size());
  program.constants.resize(program.constants.size() + 4 * static_cast<std::size_t>(conv.out.shape.c));
  const auto lo = static_cast<int>(conv.out.spec.min_code()), hi = static_cast<int>(conv.out.spec.max_code());
  conv.requant = {.shift = 20, .lo = lo, .hi = hi};
  conv.acc_bound = accumulator_bound(conv, program.constants);
  program.input = conv.in;
  program.output = conv.out;
  program.tensors.clear();
  return program;
}

/// The input that pushes all products of output o to one side.
std::vector<std::byte> push(const Program& program, std::int64_t o, bool up) {
  const auto& conv = std::get<ConvInstr>(program.code[0].operation);
  const QuantSpec spec = conv.in.spec;
  const auto lo = static_cast<std::int32_t>(spec.min_code()), hi = static_cast<std::int32_t>(spec.max_code());
  std::vector<std::byte> in(static_cast<std::size_t>(bytes_of(conv.in)));
  for (std::int64_t k = 0; k < conv.in.shape.c; ++k) {
    const std::int64_t index = o * conv.in.shape.c + k;
    const bool positive = load_code(program.constants.data(), index, {.bits = conv.weight_bits}) > 0;
    store_code(in.data(), k, spec, positive == up ? hi : lo);
  }
  return in;
}

TEST(IntegerReferenceBounds, an_adversarial_input_attains_the_bound_and_no_less_is_a_proof) {
  harness::fuzz(500, [](std::uint64_t, Random& random) {
    Program program = random_product(random);
    ASSERT_NO_THROW(validate(program));
    auto& conv = std::get<ConvInstr>(program.code[0].operation);
    RunStatistics statistics;
    for (std::int64_t o = 0; o < conv.out.shape.c; ++o) {
      for (const bool up : {true, false})
        statistics.merge(harness::run_reference(program, push(program, o, up)).statistics);
    }
    EXPECT_EQ(statistics.instructions[0].worst_acc, conv.acc_bound);
    --conv.acc_bound;
    EXPECT_THROW(validate(program), DataError);
  });
}

}  // namespace
}  // namespace binade
