// Interpreter first, all codes kept; then the graph in double, each tensor compared as it is made.
#include "core/passes/verify_integer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/base/parallel.hpp"
#include "core/execute/executor.hpp"
#include "core/integer/accumulator.hpp"
#include "core/integer/engine.hpp"

namespace binade {
namespace {

/// All results of one image.
struct Trace {
  std::vector<std::vector<std::byte>> tensors;  ///< codes, by index in Program::tensors
  std::vector<std::byte> output;
  RunStatistics statistics;
  std::int64_t mismatches = 0, elements = 0;
  std::optional<Mismatch> first;
};

/// Which tensors are complete after which instruction.
using Completed = std::multimap<std::int32_t, std::size_t>;

struct Recorder {
  const Program& program;
  const Completed& completed;
  std::span<const std::byte> arena;
  Trace& trace;

  static void after(void* context, std::int32_t instruction) {
    auto& self = *static_cast<Recorder*>(context);
    const auto [begin, end] = self.completed.equal_range(instruction);
    for (auto entry = begin; entry != end; ++entry) {
      const Region& region = self.program.tensors[entry->second].region;
      const std::byte* from = self.arena.data() + region.offset;
      self.trace.tensors[entry->second].assign(from, from + bytes_of(region));
    }
  }
};

}  // namespace

std::string Mismatch::to_string() const {
  const std::string place = fmt::format("tensor '{}' (instruction {}, {}), image {}, row {}, column {}, channel {}",
                                        tensor, instruction, operation, image, y, x, c);
  const std::string acc = accumulator ? fmt::format(", accumulator {}, shift {}", *accumulator, shift) : "";
  return fmt::format("{}{}: the program has code {}, the graph {}", place, acc, code, graph_code);
}

struct IntegerVerifier::Impl {
  Impl(const Graph& quantized, const Program& lowered)
      : graph(quantized), program(lowered), executor(quantized), unfused(lowered, {.keep_all = true}), fused(lowered) {
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < program.tensors.size(); ++i) {
      ValueId id{};
      if (graph.find(program.tensors[i].name, id) && graph.shape(id) == program.tensors[i].region.shape) {
        by_value[id] = i;
      } else {
        missing.push_back(program.tensors[i].name);
      }
      completed.emplace(program.tensors[i].after, i);
    }
    if (!missing.empty()) {
      throw DataError(
          fmt::format("program and graph are not of the same network: the graph has no tensors '{}' of the "
                      "program's shape",
                      fmt::join(missing, "', '")));
    }
    verification.tensors = static_cast<std::int64_t>(program.tensors.size());
  }

  void interpret(std::span<const std::byte> in, Block<std::byte>& memory, Trace& trace) const {
    trace.statistics = {};
    trace.mismatches = trace.elements = 0;
    trace.first.reset();
    trace.tensors.resize(program.tensors.size());
    trace.output.resize(static_cast<std::size_t>(bytes_of(program.output)));
    if (memory.size() == 0) memory = Block<std::byte>(program.arena_bytes);
    const std::span<std::byte> arena(memory.data(), memory.size());
    Recorder recorder{program, completed, arena, trace};
    run(program, in, trace.output, arena,
        {.statistics = &trace.statistics, .after = &Recorder::after, .context = &recorder});
  }

  /// The codes of one tensor against the graph's reals.
  void compare(std::size_t index, View<const double> reals, Trace& trace) {
    const ProgramTensor& tensor = program.tensors[index];
    const std::vector<std::byte>& codes = trace.tensors[index];
    trace.elements += reals.count();
    const double scale = std::ldexp(1.0, tensor.region.spec.frac);
    for (std::int64_t i = 0; i < reals.count(); ++i) {
      const std::int32_t code = load_code(codes.data(), i, tensor.region.spec);
      if (static_cast<double>(code) == reals.data[i] * scale) continue;
      ++trace.mismatches;
      if (trace.first && trace.first->instruction <= tensor.after) continue;
      const Shape& shape = tensor.region.shape;
      trace.first = Mismatch{.tensor = tensor.name,
                             .operation = std::string(tensor.after < 0 ? "input" : name_of(tensor.after)),
                             .instruction = tensor.after,
                             .y = static_cast<int>(i / shape.c / shape.w),
                             .x = static_cast<int>(i / shape.c % shape.w),
                             .c = static_cast<int>(i % shape.c),
                             .code = code,
                             .graph_code = reals.data[i] * scale};
    }
  }

  std::string_view name_of(std::int32_t instruction) const {
    return operation_name(program.code[static_cast<std::size_t>(instruction)].operation);
  }

  /// Runs the image once more, for the accumulator of a mismatch.
  void explain(Mismatch& mismatch, std::span<const std::byte> in) const {
    if (mismatch.instruction < 0) return;
    struct Watch {
      const Program& program;
      std::span<const std::byte> arena;
      Mismatch& mismatch;
    };
    std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output)));
    const Block<std::byte> memory(program.arena_bytes);
    const std::span<std::byte> arena(memory.data(), memory.size());
    Watch watch{program, arena, mismatch};
    const auto after = [](void* context, std::int32_t instruction) {
      const Watch& w = *static_cast<Watch*>(context);
      if (instruction != w.mismatch.instruction) return;
      const Operation& operation = w.program.code[static_cast<std::size_t>(instruction)].operation;
      const Shape& shape = output_of(operation).shape;
      const std::int64_t at = (std::int64_t{w.mismatch.y} * shape.w + w.mismatch.x) * shape.c + w.mismatch.c;
      w.mismatch.accumulator = accumulator_at(w.program, instruction, w.arena, at);
      w.mismatch.shift = shift_of(operation);
    };
    run(program, in, out, arena, {.after = after, .context = &watch});
  }

  /// The engine's codes against the reference's: every tensor unfused, then the result as users run it.
  void compare_engine(std::span<const std::byte> in) {
    const auto out_bytes = static_cast<std::size_t>(bytes_of(program.output));
    const auto n = static_cast<int>(traces.size());
    std::vector<std::byte> out(out_bytes * traces.size());
    std::mutex mutex;
    const auto check = [&](int image, const std::string& what, QuantSpec spec, std::span<const std::byte> found,
                           std::span<const std::byte> wanted) {
      if (std::equal(found.begin(), found.end(), wanted.begin(), wanted.end())) return;
      const std::lock_guard lock(mutex);
      const auto codes = static_cast<std::int64_t>(wanted.size()) / code_bytes(spec);
      for (std::int64_t i = 0; i < codes; ++i) {
        const std::int32_t got = load_code(found.data(), i, spec), right = load_code(wanted.data(), i, spec);
        if (got == right) continue;
        ++verification.engine_mismatches;
        if (!verification.engine_first.empty()) continue;
        verification.engine_first = fmt::format("{}, image {}, element {}: the engine has code {}, the reference {}",
                                                what, verification.images + image, i, got, right);
      }
    };
    unfused.run(in, out, n, [&](std::size_t tensor, int image, std::span<const std::byte> codes) {
      const ProgramTensor& t = program.tensors[tensor];
      check(image, fmt::format("tensor '{}'", t.name), t.region.spec, codes,
            traces[static_cast<std::size_t>(image)].tensors[tensor]);
    });
    fused.run(in, out, n);
    for (int i = 0; i < n; ++i) {
      check(i, "the result", program.output.spec,
            std::span(out).subspan(out_bytes * static_cast<std::size_t>(i), out_bytes),
            traces[static_cast<std::size_t>(i)].output);
    }
  }

  const Graph& graph;
  const Program& program;
  Executor<double> executor;
  Engine unfused, fused;
  std::map<ValueId, std::size_t> by_value;
  Completed completed;
  Verification verification;
  // Of check(), by image: fresh pages for each would take a seventh of the time.
  std::vector<Trace> traces;
  std::vector<Block<std::byte>> arenas;
};

IntegerVerifier::IntegerVerifier(const Graph& quantized, const Program& program)
    : impl_(std::make_unique<Impl>(quantized, program)) {}
IntegerVerifier::~IntegerVerifier() = default;

void IntegerVerifier::check(View<const float> images) {
  Impl& impl = *impl_;
  const auto in_bytes = static_cast<std::size_t>(bytes_of(impl.program.input));
  std::vector<Trace>& traces = impl.traces;
  traces.resize(static_cast<std::size_t>(images.shape.n));
  impl.arenas.resize(traces.size());
  std::vector<std::byte> in(in_bytes * traces.size());
  quantize_input(impl.program, images, in);
  const auto codes = [&](std::size_t n) { return std::span<const std::byte>(in).subspan(in_bytes * n, in_bytes); };
  parallel_for(images.shape.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = static_cast<std::size_t>(begin); n < static_cast<std::size_t>(end); ++n) {
      impl.interpret(codes(n), impl.arenas[n], traces[n]);
    }
  });
  impl.executor.forward(images, [&](ValueId id, View<const double> value, int first_image) {
    const auto found = impl.by_value.find(id);
    if (found == impl.by_value.end()) return;
    for (int n = 0; n < value.shape.n; ++n) {
      impl.compare(found->second, value.images(n, 1), traces[static_cast<std::size_t>(first_image + n)]);
    }
  });
  impl.compare_engine(in);
  Verification& result = impl.verification;
  for (std::size_t n = 0; n < traces.size(); ++n) {
    Trace& trace = traces[n];
    result.elements += trace.elements;
    result.mismatches += trace.mismatches;
    result.statistics.merge(trace.statistics);
    if (trace.first && !result.first) {
      impl.explain(*trace.first, codes(n));
      trace.first->image = result.images + static_cast<std::int64_t>(n);
      result.first = trace.first;
    }
  }
  result.images += images.shape.n;
}

const Verification& IntegerVerifier::result() const {
  return impl_->verification;
}

}  // namespace binade
