// Depthwise convolutions of words.
#include <algorithm>
#include <utility>

#include "core/integer/engine/wide_packing.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitWork = 100'000;  ///< multiplications that are worth handing to another thread
constexpr int kMaxUnits = 16;

class WideDepthwiseStep : public Step {
 public:
  WideDepthwiseStep(const StepContext& context, const ConvInstr& conv, const EngineTensor& in, const EngineTensor& out)
      : conv_(conv),
        in_(in),
        out_(out),
        three_(is_three(conv)),
        finishing_(wide_finishing(context.program, conv.requant, out, out.shape.c, true)),
        channels_(channels_of(context.program)),
        kernels_(kernels_that_take(context.kernels, channels_, largest_word(in))),
        blocks_(kernels_, finishing_, largest_word(in), 2,
                three_ ? WideBlocks::Chunks::columns : WideBlocks::Chunks::greedy) {
    blocks_.add(channels_);
    channels_.clear();
    const std::int64_t work = out.shape.count() * taps();
    const std::int64_t units = std::clamp<std::int64_t>(work / kUnitWork, 1, kMaxUnits);
    rows_ = ceil_div<std::int64_t>(out.shape.h, units);
  }

  void run(const Frame& frame) const override {
    parallel_for(out_.shape.h, rows_, [&](std::int64_t begin, std::int64_t end) {
      if (three_) return run_three(frame, static_cast<int>(begin), static_cast<int>(end));
      for (std::int64_t y = begin; y < end; ++y) run_any(frame, static_cast<int>(y));
    });
  }

  std::size_t scratch_bytes() const override {
    if (three_) return 0;
    return static_cast<std::size_t>(round_up(in_.pitch, kTailBytes) + kTailBytes) +
           sizeof(void*) * static_cast<std::size_t>(taps());
  }
  std::size_t weight_bytes() const override { return blocks_.bytes(); }

 private:
  static bool is_three(const ConvInstr& conv) {
    return conv.kernel_h == 3 && conv.kernel_w == 3 && conv.dilation_h == 1 && conv.dilation_w == 1 &&
           conv.stride_w <= 2;
  }
  int taps() const { return conv_.kernel_h * conv_.kernel_w; }

  std::vector<WideChannel> channels_of(const Program& program) const {
    const WideWeights weights(program, conv_, in_, finishing_.start);
    std::vector<WideChannel> channels;
    for (int c = 0; c < out_.shape.c; ++c) {
      channels.push_back(weights.channel(c, three_ ? 6 : ceil_div(taps(), 2)));
      for (int t = 0; t < taps(); ++t) {
        const int i = t / conv_.kernel_w, j = t % conv_.kernel_w;
        weights.place(channels.back(), three_ ? 4 * j + i : t, c, i, j, 0);
      }
    }
    return channels;
  }

  void run_three(const Frame& frame, int begin, int end) const {
    for (std::size_t b = 0; b < blocks_.count(); ++b) {
      const int channel = static_cast<int>(b) * 2 * kernels_.lanes;
      kernels_.depthwise3x3({.in = frame.data(in_) + channel * code_bytes(in_.spec),
                             .out = frame.data(out_) + channel * code_bytes(out_.spec),
                             .in_pitch = in_.pitch,
                             .out_pitch = out_.pitch,
                             .ih = in_.shape.h,
                             .iw = in_.shape.w,
                             .ow = out_.shape.w,
                             .stride_y = conv_.stride_h,
                             .stride_x = conv_.stride_w,
                             .pad_top = conv_.pad_top,
                             .pad_left = conv_.pad_left,
                             .row_begin = begin,
                             .row_end = end,
                             .words = !in_.is_bytes(),
                             .zero = in_.stored_zero(),
                             .block = blocks_.block(b),
                             .splits = blocks_.splits(b),
                             .finish = finishing_.from_channel(channel)});
    }
  }

  static std::uint8_t* row_of(const Frame& frame, const EngineTensor& tensor, int y) {
    return frame.data(tensor) + std::ptrdiff_t{y} * tensor.shape.w * tensor.pitch;
  }

  /// Pixel by pixel, through the addresses that the taps meet.
  void run_any(const Frame& frame, int y) const {
    std::uint8_t* outside = frame.lane_scratch();
    const int outside_bytes = round_up(in_.pitch, kTailBytes) + kTailBytes;
    fill_zero(in_, outside, static_cast<std::size_t>(outside_bytes));
    auto* const met = reinterpret_cast<const std::uint8_t**>(outside + outside_bytes);
    for (int x = 0; x < out_.shape.w; ++x) {
      for (std::size_t b = 0; b < blocks_.count(); ++b) {
        const int channel = static_cast<int>(b) * 2 * kernels_.lanes;
        for (int t = 0; t < taps(); ++t) {
          const int iy = y * conv_.stride_h - conv_.pad_top + t / conv_.kernel_w * conv_.dilation_h;
          const int ix = x * conv_.stride_w - conv_.pad_left + t % conv_.kernel_w * conv_.dilation_w;
          const bool inside = iy >= 0 && iy < in_.shape.h && ix >= 0 && ix < in_.shape.w;
          met[t] = inside ? row_of(frame, in_, iy) + std::ptrdiff_t{ix} * in_.pitch : outside;
          met[t] += channel * code_bytes(in_.spec);
        }
        kernels_.depthwise(
            {.taps = met,
             .tap_count = taps(),
             .words = !in_.is_bytes(),
             .zero = in_.stored_zero(),
             .block = blocks_.block(b),
             .out = row_of(frame, out_, y) + std::ptrdiff_t{x} * out_.pitch + channel * code_bytes(out_.spec),
             .finish = finishing_.from_channel(channel)});
      }
    }
  }

  const ConvInstr conv_;
  const EngineTensor in_, out_;
  const bool three_;
  const WideFinishing finishing_;
  std::vector<WideChannel> channels_;
  const WideKernels& kernels_;
  WideBlocks blocks_;
  std::int64_t rows_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_wide_depthwise(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                          const EngineTensor& out) {
  if (conv.transposed || conv.groups != in.shape.c || conv.groups != out.shape.c || conv.groups == 1) return nullptr;
  if (!wide_sums_fit(conv)) return nullptr;
  return std::make_unique<WideDepthwiseStep>(context, conv, in, out);
}

}  // namespace binade::integer
