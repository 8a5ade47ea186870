// Depthwise convolutions.
#include <algorithm>
#include <utility>

#include "core/integer/engine/finish.hpp"
#include "core/integer/engine/packing.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitWork = 100'000;  ///< multiplications that are worth handing to another thread
constexpr int kMaxUnits = 16;

class DepthwiseStep : public Step {
 public:
  DepthwiseStep(const StepContext& context, const ConvInstr& conv, const EngineTensor& in, const EngineTensor& out,
                Finishing finishing)
      : kernels_(context.kernels),
        conv_(conv),
        in_(in),
        out_(out),
        finishing_(std::move(finishing)),
        three_(is_three(conv) && finishing_.finish.kind == FinishKind::folded),
        packed_(pack_depthwise(context.program, conv, in, finishing_.start, three_)) {
    const std::int64_t work = out.shape.count() * conv.kernel_h * conv.kernel_w;
    const std::int64_t units = std::clamp<std::int64_t>(work / kUnitWork, 1, kMaxUnits);
    std::fill_n(outside_.data(), outside_.size(), in.zero());
    rows_ = round_up(static_cast<int>(ceil_div<std::int64_t>(out.shape.h, units)), 2);
  }

  void run(const Frame& frame) const override {
    parallel_for(out_.shape.h, rows_, [&](std::int64_t begin, std::int64_t end) {
      const int first = static_cast<int>(begin), last = static_cast<int>(end);
      three_ ? run_three(frame, first, last) : run_any(frame, first, last);
    });
  }

  std::size_t scratch_bytes() const override { return three_ ? 0 : sizeof(void*) * static_cast<std::size_t>(taps()); }
  std::size_t weight_bytes() const override { return packed_.bytes(); }

 private:
  static bool is_three(const ConvInstr& conv) {
    return conv.kernel_h == 3 && conv.kernel_w == 3 && conv.dilation_h == 1 && conv.dilation_w == 1 &&
           conv.stride_h == conv.stride_w && conv.stride_h <= 2;
  }

  int taps() const { return conv_.kernel_h * conv_.kernel_w; }

  void run_three(const Frame& frame, int begin, int end) const {
    kernels_.depthwise3x3({.in = frame.data(in_),
                           .out = frame.data(out_),
                           .in_pitch = in_.pitch,
                           .out_pitch = out_.pitch,
                           .ih = in_.shape.h,
                           .iw = in_.shape.w,
                           .oh = out_.shape.h,
                           .ow = out_.shape.w,
                           .channels = round_up(in_.shape.c, kLanes),
                           .stride = conv_.stride_h,
                           .pad_top = conv_.pad_top,
                           .pad_left = conv_.pad_left,
                           .row_begin = begin,
                           .row_end = end,
                           .zero = in_.zero(),
                           .outside = outside_.data(),
                           .w = packed_.weights.data(),
                           .start = packed_.starts.data(),
                           .finish = finishing_.finish});
  }

  /// Pixel by pixel, through the addresses that the taps meet.
  void run_any(const Frame& frame, int begin, int end) const {
    auto* const met = reinterpret_cast<const std::uint8_t**>(frame.lane_scratch());
    const std::uint8_t* in = frame.data(in_);
    for (int y = begin; y < end; ++y) {
      for (int x = 0; x < out_.shape.w; ++x) {
        for (int t = 0; t < taps(); ++t) {
          const int iy = y * conv_.stride_h - conv_.pad_top + t / conv_.kernel_w * conv_.dilation_h;
          const int ix = x * conv_.stride_w - conv_.pad_left + t % conv_.kernel_w * conv_.dilation_w;
          const bool inside = iy >= 0 && iy < in_.shape.h && ix >= 0 && ix < in_.shape.w;
          met[t] = inside ? in + (std::ptrdiff_t{iy} * in_.shape.w + ix) * in_.pitch : outside_.data();
        }
        kernels_.depthwise({.taps = met,
                            .tap_count = taps(),
                            .pixels = 1,
                            .channels = round_up(in_.shape.c, kLanes),
                            .w = packed_.weights.data(),
                            .start = packed_.starts.data(),
                            .out = frame.data(out_) + (std::ptrdiff_t{y} * out_.shape.w + x) * out_.pitch,
                            .out_stride = out_.pitch,
                            .finish = finishing_.finish});
      }
    }
  }

  const Kernels& kernels_;
  const ConvInstr conv_;
  const EngineTensor in_, out_;
  const Finishing finishing_;
  const bool three_;
  const PackedDepthwise packed_;
  const Block<std::uint8_t> outside_{static_cast<std::size_t>(depthwise_outside_bytes(in_.pitch))};
  int rows_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_depthwise(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                     const EngineTensor& out) {
  if (conv.in.spec.bits > 8 || conv.out.spec.bits > 8 || conv.weight_bits > 8 || conv.transposed) return nullptr;
  if (conv.groups != in.shape.c || conv.groups != out.shape.c || conv.groups == 1) return nullptr;
  if (in.pitch % kLanes != 0) return nullptr;
  auto finishing = finishing_of(context.program, conv.requant, conv.out, conv.acc_bound, true);
  if (!finishing) return nullptr;
  return std::make_unique<DepthwiseStep>(context, conv, in, out, *std::move(finishing));
}

}  // namespace binade::integer
