// Runs the steps: one image on all threads, or an image per thread.
#include "core/integer/engine.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/engine/plan.hpp"
#include "core/integer/simd/dispatch.hpp"

namespace binade {

using integer::EngineTensor;
using integer::Frame;

struct Engine::Parts {
  explicit Parts(const Program& source, EngineOptions how)
      : program(source), options(how), plan(plan_engine(program, integer::kernels_for(how.isa), how.keep_all)) {}

  const Program program;  ///< steps refer to its constants
  const EngineOptions options;
  integer::EnginePlan plan;
  std::vector<Block<std::byte>> arenas;  ///< one per image in flight
  Block<std::byte> scratch;
  std::size_t lane_bytes = 0;

  /// Memory for `images` in flight. It is cleared once, so that bytes between channels and pitch do not depend on
  /// chance.
  void reserve(int images) {
    while (static_cast<int>(arenas.size()) < images) {
      arenas.emplace_back(plan.arena_bytes);
      std::fill_n(arenas.back().data(), plan.arena_bytes, std::byte{0});
    }
    lane_bytes = integer::round_up(plan.scratch_bytes + integer::kTailBytes, 4096) + 64;
    const std::size_t wanted = lane_bytes * static_cast<std::size_t>(thread_count());
    if (scratch.size() < wanted) scratch = Block<std::byte>(wanted);
  }

  Frame frame(std::size_t arena) const {
    return {arenas[arena].data(), plan.constants.data(), scratch.data(), lane_bytes};
  }

  void run_image(const Frame& frame, const std::byte* in, std::byte* out, int image, const EngineTap& tap) const {
    const auto memory = [&](const EngineTensor& tensor) { return reinterpret_cast<std::byte*>(frame.data(tensor)); };
    import_codes(plan.input, in, memory(plan.input));
    std::size_t next = 0;
    std::vector<std::byte> codes;
    const auto show = [&](int after) {
      for (; tap && next < plan.taps.size() && plan.taps[next].after == after; ++next) {
        const EngineTensor& tensor = plan.taps[next].tensor;
        codes.resize(static_cast<std::size_t>(tensor.shape.count() * code_bytes(tensor.spec)));
        export_codes(tensor, memory(tensor), codes.data());
        tap(next, image, codes);
      }
    };
    show(-1);
    for (const auto& [instruction, step] : plan.steps) {
      step->run(frame);
      show(instruction);
    }
    export_codes(plan.output, memory(plan.output), out);
  }
};

Engine::Engine(const Program& program, EngineOptions options) : parts_(std::make_unique<Parts>(program, options)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

void Engine::run(std::span<const std::byte> in, std::span<std::byte> out, int images, const EngineTap& tap) {
  const auto in_bytes = static_cast<std::size_t>(bytes_of(parts_->program.input));
  const auto out_bytes = static_cast<std::size_t>(bytes_of(parts_->program.output));
  require(images >= 0 && in.size() == in_bytes * static_cast<std::size_t>(images), "Engine::run: size of the input");
  require(out.size() == out_bytes * static_cast<std::size_t>(images), "Engine::run: size of the output");
  require(!tap || parts_->options.keep_all, "Engine::run: a tap needs keep_all");
  const bool one_by_one = images == 1 || tap || thread_count() == 1;
  parts_->reserve(one_by_one ? 1 : thread_count());
  const auto run_image = [&](std::size_t arena, int image) {
    const auto i = static_cast<std::size_t>(image);
    parts_->run_image(parts_->frame(arena), in.data() + i * in_bytes, out.data() + i * out_bytes, image, tap);
  };
  if (one_by_one) {
    for (int image = 0; image < images; ++image) run_image(0, image);
    return;
  }
  parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t image = begin; image < end; ++image) {
      run_image(static_cast<std::size_t>(current_lane()), static_cast<int>(image));
    }
  });
}

std::size_t Engine::arena_bytes() const {
  return parts_->plan.arena_bytes;
}

std::size_t Engine::packed_weight_bytes() const {
  return parts_->plan.weight_bytes;
}

}  // namespace binade
