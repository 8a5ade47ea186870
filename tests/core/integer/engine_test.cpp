// The engine against the interpreter: every tensor of random programs, every instruction set, any number of threads.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/engine.hpp"
#include "tests/harness/random_program.hpp"

namespace binade {
namespace {

using Codes = std::vector<std::byte>;

std::vector<Isa> isas() {
  std::vector<Isa> offered;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa <= detected_isa()) offered.push_back(isa);
  }
  return offered;
}

/// The interpreter's tensors, in the order of Program::tensors, and its output.
struct Expected {
  const Program* program;
  const std::byte* arena;
  std::vector<Codes> tensors;
  Codes out;

  static void look(void* context, std::int32_t after) {
    auto* self = static_cast<Expected*>(context);
    for (const ProgramTensor& tensor : self->program->tensors) {
      if (tensor.after != after) continue;
      const std::byte* from = self->arena + tensor.region.offset;
      self->tensors.emplace_back(from, from + bytes_of(tensor.region));
    }
  }
};

Expected interpret(const Program& program, const Codes& in) {
  AlignedVector<std::byte> arena(program.arena_bytes, std::byte{0xa5});
  Expected expected{&program, arena.data(), {}, Codes(static_cast<std::size_t>(bytes_of(program.output)))};
  run(program, in, expected.out, arena, {.after = Expected::look, .context = &expected});
  return expected;
}

/// Where two tensors differ first.
std::string difference(const Program& program, std::size_t tensor, std::span<const std::byte> found,
                       std::span<const std::byte> wanted) {
  const ProgramTensor& of = program.tensors[tensor];
  std::string text = of.name;
  if (of.after >= 0)
    text += " (" + std::string(operation_name(program.code[static_cast<std::size_t>(of.after)].operation)) + ")";
  text += " " + to_string(of.region.shape) + ", " + std::to_string(of.region.spec.bits) + " bits: ";
  for (std::int64_t i = 0; i < of.region.shape.count(); ++i) {
    const auto a = load_code(found.data(), i, of.region.spec), b = load_code(wanted.data(), i, of.region.spec);
    if (a != b) return text + "code " + std::to_string(i) + " is " + std::to_string(a) + ", not " + std::to_string(b);
  }
  return text + "equal";
}

void check_tensors(const Program& program, Isa isa, const Codes& in, const Expected& expected) {
  Engine engine(program, {.keep_all = true, .isa = isa});
  std::size_t seen = 0;
  Codes out(expected.out.size());
  engine.run(in, out, 1, [&](std::size_t tensor, int image, std::span<const std::byte> codes) {
    EXPECT_EQ(image, 0);
    EXPECT_EQ(tensor, seen++);
    const Codes& wanted = expected.tensors[tensor];
    ASSERT_EQ(codes.size(), wanted.size());
    ASSERT_TRUE(std::equal(codes.begin(), codes.end(), wanted.begin()))
        << to_string(isa) << ": " << difference(program, tensor, codes, wanted);
  });
  EXPECT_EQ(seen, program.tensors.size());
  EXPECT_EQ(out, expected.out);
}

void check_program(const Program& program, Random& random) {
  ASSERT_NO_THROW(validate(program));
  const Codes in = harness::random_codes(random, program.input);
  const Expected expected = interpret(program, in);
  for (const Isa isa : isas()) {
    ASSERT_NO_FATAL_FAILURE(check_tensors(program, isa, in, expected));
    Codes out(expected.out.size());
    Engine(program, {.isa = isa}).run(in, out);
    ASSERT_EQ(out, expected.out) << to_string(isa) << ", with fusion";
  }
}

TEST(Engine, equals_the_interpreter_on_every_operation) {
  for (int operation = 0; operation < static_cast<int>(std::variant_size_v<Operation>); ++operation) {
    for (int i = 0; i < (operation == 0 ? 4000 : 400); ++i) {
      SCOPED_TRACE("operation " + std::to_string(operation) + ", program " + std::to_string(i));
      Random random(static_cast<std::uint64_t>(1000 * operation + i));
      const Program program = harness::random_program(
          random, {.operation = operation, .max_channels = i % 4 == 0 ? 150 : 40, .whole_bits = i % 2 == 0});
      check_program(program, random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Engine, equals_the_interpreter_on_chains) {
  for (int i = 0; i < 1000; ++i) {
    SCOPED_TRACE("program " + std::to_string(i));
    Random random(static_cast<std::uint64_t>(77000 + i));
    const Program program =
        harness::random_program(random, {.instructions = 12, .max_channels = i % 3 == 0 ? 100 : 24});
    check_program(program, random);
    if (HasFatalFailure()) return;
  }
}

TEST(Engine, threads_and_batches_change_nothing) {
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE("program " + std::to_string(i));
    Random random(static_cast<std::uint64_t>(9000 + i));
    const Program program = harness::random_program(random, {.instructions = 8, .max_extent = 30, .max_channels = 90});
    constexpr int kImages = 5;
    Codes in, expected;
    for (int image = 0; image < kImages; ++image) {
      const Codes codes = harness::random_codes(random, program.input);
      in.insert(in.end(), codes.begin(), codes.end());
      const Codes out = interpret(program, codes).out;
      expected.insert(expected.end(), out.begin(), out.end());
    }
    Engine engine(program);
    const std::size_t in_bytes = in.size() / kImages, out_bytes = expected.size() / kImages;
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      Codes out(expected.size());
      engine.run(in, out, kImages);
      EXPECT_EQ(out, expected) << threads << " threads";
      Codes one(out_bytes);
      engine.run(std::span(in).first(in_bytes), one);
      EXPECT_TRUE(std::equal(one.begin(), one.end(), expected.begin())) << threads << " threads, one image";
    }
    set_thread_count(0);
  }
}

TEST(Engine, refuses_what_it_cannot_do) {
  Random random(5);
  const Program program = harness::random_program(random);
  Engine engine(program);
  const Codes in(static_cast<std::size_t>(bytes_of(program.input)));
  Codes out(static_cast<std::size_t>(bytes_of(program.output)));
  const EngineTap tap = [](std::size_t, int, std::span<const std::byte>) {};
  EXPECT_THROW(engine.run(in, out, 1, tap), ContractError);  // fused: not all tensors are made
  EXPECT_THROW(engine.run(in, out, 2), ContractError);
  EXPECT_NO_THROW(engine.run(in, out));
}

}  // namespace
}  // namespace binade
