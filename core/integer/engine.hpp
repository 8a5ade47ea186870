// Runs a program with the fastest kernels of this processor: the same codes as the reference interpreter, always.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "core/base/cpu.hpp"
#include "core/integer/program.hpp"

namespace binade {

struct EngineOptions {
  bool keep_all = false;  ///< every tensor of the program is made and kept until the end: what taps need
  Isa isa = active_isa();
};

/// Called with the index of a tensor in Program::tensors, the image, and the tensor's canonical bytes.
using EngineTap = std::function<void(std::size_t tensor, int image, std::span<const std::byte> codes)>;

/// Plans its own memory, packs weights once, and fuses instructions where nobody can tell. Not to be used by two
/// threads at once; inside, it uses parallel_for.
class Engine {
 public:
  /// The program must be valid (see `validate`).
  explicit Engine(const Program& program, EngineOptions options = {});
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  /// `in` holds the canonical bytes of the input region of `images` images, one after another; `out` receives those of
  /// the output region. One image is worked on by all threads; of several, each thread takes its own. A tap needs
  /// keep_all.
  void run(std::span<const std::byte> in, std::span<std::byte> out, int images = 1, const EngineTap& tap = {});

  /// Memory for the tensors of one image.
  std::size_t arena_bytes() const;
  /// Memory for weights and start values, as packed for the kernels.
  std::size_t packed_weight_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace binade
