// Any instruction, through the interpreter: what has no kernels yet, or does not fit in 32 bits.
#include <variant>

#include "core/integer/engine/step.hpp"
#include "core/integer/requant.hpp"

namespace binade::integer {
namespace {

/// The interpreter works in a small arena of its own, to and from which the tensors are copied.
class ReferenceStep : public Step {
 public:
  ReferenceStep(const StepContext& context, const Operation& operation, const std::vector<EngineTensor>& in,
                const EngineTensor& out)
      : program_(context.program), operation_(operation), in_(in), out_(out) {
    std::visit([&](auto& instr) { place(instr); }, operation_);
  }

  void run(const Frame& frame) const override {
    auto* const arena = reinterpret_cast<std::byte*>(frame.lane_scratch());
    for (std::size_t i = 0; i < in_.size(); ++i) {
      export_codes(in_[i], reinterpret_cast<const std::byte*>(frame.data(in_[i])), arena + offsets_[i]);
    }
    auto* const out = reinterpret_cast<std::byte*>(frame.data(out_));
    if (keeps_output_) export_codes(out_, out, arena + output_offset_);
    InstructionStatistics statistics;
    const interpreter::Machine machine{program_, arena, statistics};
    std::visit([&](const auto& instr) { interpreter::execute(instr, machine); }, operation_);
    import_codes(out_, arena + output_offset_, out);
  }

  std::size_t scratch_bytes() const override { return bytes_; }

 private:
  std::uint32_t place(Region& region) {
    region.constant = false;
    region.offset = bytes_;
    bytes_ += static_cast<std::uint32_t>(round_up(bytes_of(region), kRegionAlignment));
    return region.offset;
  }

  /// Gives the operands places in the small arena, in the order of inputs_of.
  template <class Instr>
  void place(Instr& instr) {
    if constexpr (requires { instr.a; }) {
      offsets_ = {place(instr.a), place(instr.b)};
    } else {
      offsets_ = {place(instr.in)};
    }
    output_offset_ = place(instr.out);
    keeps_output_ = std::is_same_v<Instr, RescaleInstr>;
  }

  const Program& program_;
  Operation operation_;
  const std::vector<EngineTensor> in_;
  const EngineTensor out_;
  std::vector<std::uint32_t> offsets_;
  std::uint32_t output_offset_ = 0, bytes_ = 0;
  bool keeps_output_ = false;
};

}  // namespace

std::unique_ptr<Step> make_reference(const StepContext& context, const Operation& operation,
                                     const std::vector<EngineTensor>& in, const EngineTensor& out) {
  return std::make_unique<ReferenceStep>(context, operation, in, out);
}

}  // namespace binade::integer
