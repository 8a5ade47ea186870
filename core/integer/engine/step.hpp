// What the engine runs: a list of steps, each one instruction or a few fused ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/memory.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/engine/tensor.hpp"
#include "core/integer/program.hpp"
#include "core/integer/simd/kernels.hpp"

namespace binade::integer {

/// The memory of one image in flight.
struct Frame {
  std::byte* arena;
  std::byte* constants;  ///< constant tensors in the engine's layout
  std::byte* scratch;    ///< one part of `scratch_bytes` per lane
  std::size_t scratch_bytes;

  std::uint8_t* data(const EngineTensor& tensor) const {
    return reinterpret_cast<std::uint8_t*>((tensor.constant ? constants : arena) + tensor.offset);
  }
  /// Scratch memory of the calling thread, 64-byte aligned.
  std::uint8_t* lane_scratch() const {
    return reinterpret_cast<std::uint8_t*>(scratch + static_cast<std::size_t>(current_lane()) * scratch_bytes);
  }
};

class Step {
 public:
  virtual ~Step() = default;
  virtual void run(const Frame& frame) const = 0;
  /// Per lane.
  virtual std::size_t scratch_bytes() const { return 0; }
  virtual std::size_t weight_bytes() const { return 0; }
};

/// What the makers of steps know. A maker returns null for what it has no kernels for.
struct StepContext {
  const Program& program;
  const Kernels& kernels;
};

/// An addition that the convolution before it does on the fly: `other` is what is not the convolution's result. Both
/// operands, and the result, have the same extents and pitch.
struct FusedAdd {
  AddInstr instr;
  bool conv_is_a = true;
  EngineTensor other;
};

std::unique_ptr<Step> make_conv(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                const EngineTensor& out, const std::optional<FusedAdd>& add);
std::unique_ptr<Step> make_depthwise(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                     const EngineTensor& out);
std::unique_ptr<Step> make_add(const StepContext& context, const AddInstr& add, const EngineTensor& a,
                               const EngineTensor& b, const EngineTensor& out);
std::unique_ptr<Step> make_rescale(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in,
                                   const EngineTensor& out);
std::unique_ptr<Step> make_max_pool(const StepContext& context, const MaxPoolInstr& pool, const EngineTensor& in,
                                    const EngineTensor& out);
std::unique_ptr<Step> make_average_pool(const StepContext& context, const AvgPoolInstr& pool, const EngineTensor& in,
                                        const EngineTensor& out);
std::unique_ptr<Step> make_slice(const SliceInstr& slice, const EngineTensor& in, const EngineTensor& out);
std::unique_ptr<Step> make_pad(const PadInstr& pad, const EngineTensor& in, const EngineTensor& out);
std::unique_ptr<Step> make_reshape(const EngineTensor& in, const EngineTensor& out);
std::unique_ptr<Step> make_table(const StepContext& context, const TableInstr& table, const EngineTensor& in,
                                 const EngineTensor& out);
/// Any instruction, through the interpreter. Never null.
std::unique_ptr<Step> make_reference(const StepContext& context, const Operation& operation,
                                     const std::vector<EngineTensor>& in, const EngineTensor& out);

}  // namespace binade::integer
