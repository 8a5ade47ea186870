// Convolutions of words: dense, grouped, dilated and transposed, as products of matrices.
#include <algorithm>
#include <utility>

#include "core/integer/engine/patches.hpp"
#include "core/integer/engine/wide_packing.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kBlockBytes = 24 << 10;        ///< of rows that stay in the first cache beside weights
constexpr std::int64_t kHeavyBlockBytes = 160 << 10;  ///< and in the second, where the weights do not fit in the first
constexpr std::int64_t kFarWeights = 128 << 10;
constexpr std::int64_t kHeavyWeights = 512 << 10;
constexpr std::int64_t kLeastBlock = 48;     ///< pixels
constexpr std::int64_t kUnitWork = 300'000;  ///< multiplications that are worth handing to another thread
constexpr int kMaxUnits = 16;

/// A phase with all that is prepared for it.
struct WidePhase {
  Phase phase;
  Gatherer gatherer;
  WideBlocks blocks;  ///< of all groups, one after another
  const WideKernels* kernels;
  int group_blocks, pairs;
  bool direct;                ///< pixels of the input are the rows of the matrix as they lie
  bool fetches;               ///< weights come from far away
  std::int64_t unit_pixels;   ///< how work is cut for threads: by pixels,
  int unit_blocks;            ///< or by blocks of channels; depends on shapes only
  std::int64_t block_pixels;  ///< pixels that are gathered together
};

bool is_direct(const Phase& phase, const EngineTensor& in) {
  return phase.runs.size() == 1 && phase.run_pixels == 1 && phase.runs[0].dy == 0 && phase.runs[0].dx == 0 &&
         phase.stride_y == 1 && phase.stride_x == 1 && phase.is_whole() && phase.rows == in.shape.h &&
         phase.columns == in.shape.w;
}

class WideConvStep : public Step {
 public:
  WideConvStep(const StepContext& context, const ConvInstr& conv, const EngineTensor& in, const EngineTensor& out)
      : kernels_(context.kernels),
        in_(in),
        out_(out),
        groups_(conv.groups),
        group_in_bytes_(in.shape.c / conv.groups * code_bytes(in.spec)),
        group_out_(out.shape.c / conv.groups),
        finishing_(wide_finishing(context.program, conv.requant, out, out.shape.c, true)) {
    for (const Phase& phase : phases_of(conv, in)) works_.push_back(prepare(context, conv, phase));
  }

  void run(const Frame& frame) const override {
    for (const WidePhase& work : works_) run_phase(frame, work);
  }

  std::size_t scratch_bytes() const override {
    std::size_t most = 0;
    for (const WidePhase& work : works_) most = std::max(most, gathered_bytes(work) + widened_bytes(work));
    return most;
  }

  std::size_t weight_bytes() const override {
    std::size_t bytes = 0;
    for (const WidePhase& work : works_) bytes += work.blocks.bytes();
    return bytes;
  }

 private:
  WidePhase prepare(const StepContext& context, const ConvInstr& conv, const Phase& phase) const {
    const int words_per_byte = in_.is_bytes() ? 1 : 2, pairs = phase.quads * 2 / words_per_byte;
    const WideWeights weights(context.program, conv, in_, finishing_.start);
    std::vector<WideChannel> channels;
    for (int o = 0; o < out_.shape.c; ++o) {
      channels.push_back(weights.channel(o, pairs));
      for (const TapPlace& tap : phase.taps) {
        for (int k = 0; k < in_.shape.c / groups_; ++k) {
          weights.place(channels.back(), tap.offset / words_per_byte + k, o, tap.i, tap.j, k);
        }
      }
    }
    const WideKernels& kernels = kernels_that_take(kernels_, channels, largest_word(in_));
    WideBlocks blocks(kernels, finishing_, largest_word(in_), 0, WideBlocks::Chunks::greedy);
    for (int g = 0; g < groups_; ++g) {
      const auto first = channels.begin() + std::ptrdiff_t{g} * group_out_;
      blocks.add({first, first + group_out_});
    }
    const int group_blocks = static_cast<int>(blocks.count()) / groups_;
    const std::int64_t line = phase.is_whole() ? phase.pixels() : phase.columns;
    const std::int64_t units = std::clamp<std::int64_t>(line * pairs * 2 * group_out_ / kUnitWork, 1, kMaxUnits);
    const bool by_channels = group_out_ > line && group_blocks > 1;
    const std::int64_t unit_pixels = by_channels ? line : ceil_div(line, units);
    const int unit_blocks = by_channels ? ceil_div(group_blocks, static_cast<int>(units)) : group_blocks;
    const std::int64_t row_bytes = std::max<std::int64_t>(4 * pairs, 1);
    const bool heavy = row_bytes * group_out_ > kHeavyWeights;
    const std::int64_t most = std::max((heavy ? kHeavyBlockBytes : kBlockBytes) / row_bytes, kLeastBlock);
    return {.phase = phase,
            .gatherer = Gatherer(kernels_, phase, in_),
            .blocks = std::move(blocks),
            .kernels = &kernels,
            .group_blocks = group_blocks,
            .pairs = pairs,
            .direct = is_direct(phase, in_),
            .fetches = row_bytes * group_out_ > kFarWeights,
            .unit_pixels = unit_pixels,
            .unit_blocks = unit_blocks,
            .block_pixels = ceil_div(unit_pixels, ceil_div(unit_pixels, most))};
  }

  std::size_t gathered_bytes(const WidePhase& work) const {
    if (work.direct) return 0;
    return round_up(work.gatherer.scratch_bytes(work.block_pixels), 64);
  }
  /// Words made of bytes: of gathered rows, or of pixels as they lie.
  std::size_t widened_bytes(const WidePhase& work) const {
    if (!in_.is_bytes()) return 0;
    const std::int64_t row = work.direct ? in_.pitch : 4 * work.phase.quads;
    return static_cast<std::size_t>(2 * work.block_pixels * row) + 2 * kTailBytes;
  }

  /// Units: groups, then rows of the phase where their pixels do not lie evenly, then pixels or channels.
  void run_phase(const Frame& frame, const WidePhase& work) const {
    const std::int64_t lines = work.phase.is_whole() ? 1 : work.phase.rows, line = work.phase.pixels() / lines;
    const std::int64_t pixel_units = ceil_div(line, work.unit_pixels);
    const std::int64_t per_line = pixel_units * ceil_div(work.group_blocks, work.unit_blocks);
    const std::int64_t units = groups_ * lines * per_line;
    parallel_for(units, ceil_div<std::int64_t>(units, kMaxUnits), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t unit = begin; unit < end; ++unit) {
        const std::int64_t first = unit / per_line % lines * line, part = unit % per_line;
        const std::int64_t pixel = part % pixel_units * work.unit_pixels;
        const int block = static_cast<int>(part / pixel_units) * work.unit_blocks;
        run_unit(frame, work,
                 {.group = static_cast<int>(unit / (lines * per_line)),
                  .begin = first + pixel,
                  .end = first + std::min(line, pixel + work.unit_pixels),
                  .block_begin = block,
                  .block_end = std::min(work.group_blocks, block + work.unit_blocks)});
      }
    });
  }

  struct Unit {
    int group;
    std::int64_t begin, end;  ///< pixels of the phase
    int block_begin, block_end;
  };

  void run_unit(const Frame& frame, const WidePhase& work, const Unit& unit) const {
    const Phase& phase = work.phase;
    for (std::int64_t p = unit.begin; p < unit.end; p += work.block_pixels) {
      const std::int64_t end = std::min(unit.end, p + work.block_pixels);
      const std::int64_t y = phase.out_y + p / phase.columns * phase.step_y;
      const std::int64_t x = phase.out_x + p % phase.columns * phase.step_x;
      const auto [a, a_stride] = operand(frame, work, unit.group, p, end);
      const auto block_at = [&](int b) {
        return work.blocks.block(static_cast<std::size_t>(unit.group * work.group_blocks + b));
      };
      for (int b = unit.block_begin; b < unit.block_end; ++b) {
        const int channel = unit.group * group_out_ + b * 2 * work.kernels->lanes;
        work.kernels->gemm(
            {.a = a,
             .a_stride = a_stride,
             .rows = static_cast<int>(end - p),
             .pairs = work.pairs,
             .block = block_at(b),
             .out = frame.data(out_) + (y * out_.shape.w + x) * out_.pitch + channel * code_bytes(out_.spec),
             .out_stride = std::ptrdiff_t{phase.step_x} * out_.pitch,
             .finish = finishing_.from_channel(channel),
             .next_w = work.fetches && p == unit.begin && b + 1 < unit.block_end ? block_at(b + 1).w : nullptr});
      }
    }
  }

  struct Rows {
    const std::int16_t* a;
    std::ptrdiff_t stride;
  };
  /// The rows of the pixels [begin, end): gathered, and widened, where they have to be.
  Rows operand(const Frame& frame, const WidePhase& work, int group, std::int64_t begin, std::int64_t end) const {
    const std::uint8_t* rows = frame.data(in_) + std::ptrdiff_t{group} * group_in_bytes_;
    std::int64_t pitch = in_.pitch;
    std::uint8_t* scratch = frame.lane_scratch();
    if (work.direct) {
      rows += begin * in_.pitch;
    } else {
      rows = work.gatherer.gather(rows, begin, end, {0, static_cast<int>(work.phase.runs.size())}, scratch);
      pitch = 4 * work.phase.quads;
    }
    if (!in_.is_bytes()) return {reinterpret_cast<const std::int16_t*>(rows), pitch / 2};
    auto* const words = reinterpret_cast<std::int16_t*>(scratch + gathered_bytes(work));
    work.kernels->widen(rows, in_.zero(), words, (end - begin) * pitch);
    return {words, pitch};
  }

  const Kernels& kernels_;
  const EngineTensor in_, out_;
  const int groups_, group_in_bytes_, group_out_;
  const WideFinishing finishing_;
  std::vector<WidePhase> works_;
};

}  // namespace

std::unique_ptr<Step> make_wide_conv(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                     const EngineTensor& out) {
  if (!wide_sums_fit(conv)) return nullptr;
  return std::make_unique<WideConvStep>(context, conv, in, out);
}

}  // namespace binade::integer
