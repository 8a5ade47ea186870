// Dense, grouped, dilated and transposed convolutions as products of matrices.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/integer/engine/finish.hpp"
#include "core/integer/engine/packing.hpp"
#include "core/integer/engine/patches.hpp"

namespace binade::integer {
namespace {

constexpr int kSmallBlock = 16 << 10;   ///< bytes of gathered rows that stay in the first cache beside a panel
constexpr int kLargeBlock = 192 << 10;  ///< and in the second, where the weights are what is read again and again
constexpr int kLeastBlock = 48;         ///< pixels
constexpr std::int64_t kHeavyWeights = 256 << 10;
constexpr std::int64_t kUnitWork = 500'000;  ///< multiplications that are worth handing to another thread
constexpr int kMaxUnits = 16;
constexpr std::int64_t kSharedWeights = 512 << 10;  ///< weights up to this size are read in full by every thread
constexpr int kLeastPixels = 24;                    ///< of a unit: fewer read the weights too often

/// How the work of a phase is cut for threads: by pixels, or by output channels where weights are the larger operand or
/// there are few pixels. Depends on shapes only.
struct Cut {
  std::int64_t pixels;  ///< per unit
  int channels;         ///< per unit, a multiple of kMaxColumns
  std::int64_t pixel_units;
  int channel_units;
};

Cut cut_of(std::int64_t pixels, int depth, int channels) {
  const std::int64_t work = pixels * depth * channels;
  const std::int64_t units = std::clamp<std::int64_t>(work / kUnitWork, 1, kMaxUnits);
  const bool by_channels = std::int64_t{depth} * channels > kSharedWeights || pixels < 2 * kLeastPixels;
  if (by_channels && channels >= 2 * kMaxColumns) {
    const int per_unit = round_up(ceil_div(channels, static_cast<int>(units)), kMaxColumns);
    return {pixels, per_unit, 1, ceil_div(channels, per_unit)};
  }
  const std::int64_t per_unit = ceil_div(pixels, std::min(units, std::max<std::int64_t>(pixels / kLeastPixels, 1)));
  return {per_unit, channels, ceil_div(pixels, per_unit), 1};
}

/// A phase with its packed weights and its plan.
struct PhaseWork {
  Phase phase;
  Cut cut;
  PackedPhase packed;
  Gatherer gatherer;
  bool direct;         ///< pixels of the input are the rows of the matrix as they lie
  std::int64_t block;  ///< pixels that are gathered together
};

bool is_direct(const Phase& phase, const EngineTensor& in) {
  return phase.runs.size() == 1 && phase.run_pixels == 1 && phase.runs[0].dy == 0 && phase.runs[0].dx == 0 &&
         phase.stride_y == 1 && phase.stride_x == 1 && phase.is_whole() && phase.rows == in.shape.h &&
         phase.columns == in.shape.w;
}

std::int64_t block_of(const Phase& phase, const Cut& cut) {
  const int depth = std::max(4 * phase.quads, 1);
  const bool heavy = std::int64_t{depth} * cut.channels > kHeavyWeights;
  const std::int64_t most = std::max((heavy ? kLargeBlock : kSmallBlock) / depth, kLeastBlock);
  return ceil_div(cut.pixels, ceil_div(cut.pixels, most));  // equal blocks
}

class ConvStep : public Step {
 public:
  ConvStep(const StepContext& context, const ConvInstr& conv, const EngineTensor& in, const EngineTensor& out,
           Finishing finishing, std::optional<FusedAdd> add, Finishing add_finishing)
      : kernels_(context.kernels),
        in_(in),
        out_(out),
        groups_(conv.groups),
        group_in_(in.shape.c / conv.groups),
        group_out_(out.shape.c / conv.groups),
        finishing_(std::move(finishing)),
        add_(std::move(add)),
        add_finishing_(std::move(add_finishing)) {
    for (const Phase& phase : phases_of(conv, in)) {
      const Cut cut = cut_of(phase.is_whole() ? phase.pixels() : phase.columns, 4 * phase.quads, group_out_);
      works_.push_back({.phase = phase,
                        .cut = cut,
                        .packed = PackedPhase(context.program, conv, phase, in_, finishing_.start),
                        .gatherer = Gatherer(kernels_, phase, in_),
                        .direct = is_direct(phase, in_),
                        .block = block_of(phase, cut)});
    }
  }

  void run(const Frame& frame) const override {
    for (const PhaseWork& work : works_) run_phase(frame, work);
  }

  std::size_t scratch_bytes() const override {
    std::size_t most = 0;
    for (const PhaseWork& work : works_) {
      if (work.direct) continue;
      most = std::max(most, work.gatherer.scratch_bytes(work.block));
    }
    return most;
  }

  std::size_t weight_bytes() const override {
    std::size_t bytes = 0;
    for (const PhaseWork& work : works_) bytes += work.packed.bytes();
    return bytes;
  }

 private:
  /// Units: groups, then rows of the phase where their pixels do not lie evenly, then the cut.
  void run_phase(const Frame& frame, const PhaseWork& work) const {
    const Cut& cut = work.cut;
    const std::int64_t lines = work.phase.is_whole() ? 1 : work.phase.rows, line = work.phase.pixels() / lines;
    const std::int64_t per_line = cut.pixel_units * cut.channel_units;
    const std::int64_t units = groups_ * lines * per_line;
    parallel_for(units, ceil_div<std::int64_t>(units, kMaxUnits), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t unit = begin; unit < end; ++unit) {
        const auto group = static_cast<int>(unit / (lines * per_line));
        const std::int64_t y = unit / per_line % lines, part = unit % per_line;
        const std::int64_t first = part % cut.pixel_units * cut.pixels;
        const int channel = static_cast<int>(part / cut.pixel_units) * cut.channels;
        run_unit(frame, work,
                 {.group = group,
                  .begin = y * line + first,
                  .end = y * line + std::min(line, first + cut.pixels),
                  .channel = channel,
                  .channels = std::min(cut.channels, group_out_ - channel)});
      }
    });
  }

  struct Unit {
    int group;
    std::int64_t begin, end;  ///< pixels of the phase
    int channel, channels;    ///< of the group
  };

  /// Block by block; a block has only lines that meet the same runs.
  void run_unit(const Frame& frame, const PhaseWork& work, const Unit& unit) const {
    const Phase& phase = work.phase;
    for (std::int64_t p = unit.begin; p < unit.end;) {
      std::int64_t end = std::min(unit.end, p + work.block);
      RunRange runs{0, static_cast<int>(phase.runs.size())};
      if (!work.direct) {
        int line = static_cast<int>(p / phase.columns);
        runs = work.gatherer.runs_of(line);
        while (++line * std::int64_t{phase.columns} < end) {
          if (work.gatherer.runs_of(line) != runs) end = line * std::int64_t{phase.columns};
        }
      }
      run_block(frame, work, unit, p, end, runs);
      p = end;
    }
  }

  void run_block(const Frame& frame, const PhaseWork& work, const Unit& unit, std::int64_t begin, std::int64_t end,
                 RunRange runs) const {
    const Phase& phase = work.phase;
    const int first = unit.group * group_out_ + unit.channel;
    const std::int64_t y = phase.out_y + begin / phase.columns * phase.step_y;
    const std::int64_t x = phase.out_x + begin % phase.columns * phase.step_x;
    std::uint8_t* out = frame.data(out_) + (y * out_.shape.w + x) * out_.pitch + first;
    Gemm gemm{.a = frame.data(in_) + unit.group * group_in_,
              .a_stride = in_.pitch,
              .rows = static_cast<int>(end - begin),
              .quads = phase.quads,
              .panel_quads = phase.quads,
              .channels = unit.channels,
              .exact_store = group_out_ % kLanes != 0 && groups_ > 1,
              .w = work.packed.weights_of(unit.group, unit.channel),
              .start = work.packed.starts_of(unit.group, unit.channel),
              .out = out,
              .out_stride = std::ptrdiff_t{phase.step_x} * out_.pitch,
              .finish = finishing_.finish};
    if (gemm.finish.slopes != nullptr) gemm.finish.slopes += first;
    if (work.direct) {
      gemm.a += begin * in_.pitch;
    } else {
      gemm.a = work.gatherer.gather(gemm.a, begin, end, runs, frame.lane_scratch());
      gemm.quads = work.gatherer.quads_of(runs);
      gemm.a_stride = 4 * std::ptrdiff_t{gemm.quads};
      gemm.w += std::ptrdiff_t{runs.begin} * phase.run_bytes * kLanes;
    }
    kernels_.gemm(gemm);
    if (add_) add_block(frame, begin, end, first, unit.channels, out);
  }

  /// The fused addition, in place, while the block is in the first cache. Only for ordinary convolutions.
  void add_block(const Frame& frame, std::int64_t begin, std::int64_t end, int first, int channels,
                 std::uint8_t* out) const {
    const EngineTensor& other = add_->other;
    const std::uint8_t* from = frame.data(other) + begin * other.pitch + first;
    const bool whole = channels == out_.shape.c;
    const std::int64_t rows = whole ? 1 : end - begin;
    const std::int64_t count = whole ? (end - begin) * out_.pitch : channels;
    for (std::int64_t r = 0; r < rows; ++r, out += out_.pitch, from += other.pitch) {
      const bool is_a = add_->conv_is_a;
      kernels_.add({.a = is_a ? out : from,
                    .b = is_a ? from : out,
                    .zero_a = is_a ? finishing_.finish.zero : other.zero(),
                    .zero_b = is_a ? other.zero() : finishing_.finish.zero,
                    .shift_a = add_->instr.shift_a,
                    .shift_b = add_->instr.shift_b,
                    .out = out,
                    .count = count,
                    .finish = add_finishing_.finish});
    }
  }

  const Kernels& kernels_;
  const EngineTensor in_, out_;
  const int groups_, group_in_, group_out_;
  const Finishing finishing_;
  const std::optional<FusedAdd> add_;
  const Finishing add_finishing_;
  std::vector<PhaseWork> works_;
};

}  // namespace

std::unique_ptr<Step> make_conv(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                const EngineTensor& out, const std::optional<FusedAdd>& add) {
  if (conv.in.spec.bits > 8 || conv.out.spec.bits > 8 || conv.weight_bits > 8) return nullptr;
  auto finishing = finishing_of(context.program, conv.requant, conv.out, conv.acc_bound, true);
  if (!finishing) return nullptr;
  Finishing add_finishing;
  if (add) add_finishing = *finishing_of_add(context.program, add->instr);
  return std::make_unique<ConvStep>(context, conv, in, out, *std::move(finishing), add, std::move(add_finishing));
}

}  // namespace binade::integer
