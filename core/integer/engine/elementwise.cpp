// Additions and changes of scale.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/integer/engine/finish.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitBytes = 16 << 10;  ///< worth handing to another thread

class AddStep : public Step {
 public:
  AddStep(const StepContext& context, const AddInstr& add, const EngineTensor& a, const EngineTensor& b,
          const EngineTensor& out, Finishing finishing)
      : kernels_(context.kernels), add_(add), a_(a), b_(b), out_(out), finishing_(std::move(finishing)) {}

  void run(const Frame& frame) const override {
    const auto bytes = static_cast<std::int64_t>(out_.bytes());
    parallel_for(bytes, kUnitBytes, [&](std::int64_t begin, std::int64_t end) {
      kernels_.add({.a = frame.data(a_) + begin,
                    .b = frame.data(b_) + begin,
                    .zero_a = a_.zero(),
                    .zero_b = b_.zero(),
                    .shift_a = add_.shift_a,
                    .shift_b = add_.shift_b,
                    .out = frame.data(out_) + begin,
                    .count = end - begin,
                    .finish = finishing_.finish});
    });
  }

 private:
  const Kernels& kernels_;
  const AddInstr add_;
  const EngineTensor a_, b_, out_;
  const Finishing finishing_;
};

/// A change of scale, into all channels of the result or some of them.
class RescaleStep : public Step {
 public:
  RescaleStep(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in, const EngineTensor& out,
              Finishing finishing)
      : kernels_(context.kernels),
        in_(in),
        out_(out),
        first_channel_(rescale.first_channel),
        finishing_(std::move(finishing)),
        copies_(is_copy(rescale, in, out)) {}

  void run(const Frame& frame) const override {
    const std::int64_t grain = std::max<std::int64_t>(1, kUnitBytes / in_.pitch);
    parallel_for(in_.shape.pixels(), grain, [&](std::int64_t begin, std::int64_t end) {
      const std::uint8_t* in = frame.data(in_) + begin * in_.pitch;
      std::uint8_t* out = frame.data(out_) + begin * out_.pitch + first_channel_;
      for (std::int64_t p = begin; p < end; ++p, in += in_.pitch, out += out_.pitch) {
        if (copies_) {
          std::memcpy(out, in, static_cast<std::size_t>(in_.shape.c));
        } else {
          kernels_.rescale(finishing_.finish, in, in_.zero(), out, in_.shape.c);
        }
      }
    });
  }

 private:
  static bool is_copy(const RescaleInstr& rescale, const EngineTensor& in, const EngineTensor& out) {
    const Requant& requant = rescale.requant;
    return requant.shift == 0 && requant.slope_count == 0 && in.zero() == out.zero() &&
           requant.lo <= in.spec.min_code() && requant.hi >= in.spec.max_code();
  }

  const Kernels& kernels_;
  const EngineTensor in_, out_;
  const int first_channel_;
  const Finishing finishing_;
  const bool copies_;
};

}  // namespace

std::unique_ptr<Step> make_add(const StepContext& context, const AddInstr& add, const EngineTensor& a,
                               const EngineTensor& b, const EngineTensor& out) {
  const bool same = a.shape == out.shape && b.shape == out.shape && a.pitch == out.pitch && b.pitch == out.pitch;
  if (!same || !a.is_bytes() || !b.is_bytes() || !out.is_bytes()) return nullptr;
  auto finishing = finishing_of_add(context.program, add);
  if (!finishing) return nullptr;
  return std::make_unique<AddStep>(context, add, a, b, out, *std::move(finishing));
}

std::unique_ptr<Step> make_rescale(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in,
                                   const EngineTensor& out) {
  if (!in.is_bytes() || !out.is_bytes()) return nullptr;
  Region as_in = rescale.out;  // slopes are counted by the input's channels
  as_in.shape.c = in.shape.c;
  auto finishing = finishing_of(context.program, rescale.requant, as_in, in.spec.max_magnitude(), false);
  if (!finishing) return nullptr;
  return std::make_unique<RescaleStep>(context, rescale, in, out, *std::move(finishing));
}

}  // namespace binade::integer
