// Packs weights once, when an engine is made.
#include "core/integer/engine/packing.hpp"

#include <algorithm>
#include <cstring>

namespace binade::integer {
namespace {

/// The weights and biases of a convolution, as the program stores them.
struct Stored {
  const Program& program;
  const ConvInstr& conv;
  int channels;  ///< of the input, per group

  std::int8_t weight(int o, int i, int j, int k) const {
    const std::int64_t at = ((std::int64_t{o} * conv.kernel_h + i) * conv.kernel_w + j) * channels + k;
    return static_cast<std::int8_t>(program.constants[conv.weights + static_cast<std::size_t>(at)]);
  }

  /// Modulo 2^32, as all accumulators.
  std::uint32_t bias(int o) const {
    std::int32_t code;
    std::memcpy(&code, program.constants.data() + conv.bias + 4 * static_cast<std::size_t>(o), sizeof code);
    return static_cast<std::uint32_t>(code) << conv.bias_shift;
  }
};

std::int32_t start_of(std::uint32_t bias, std::int32_t extra, const EngineTensor& in, std::int64_t weight_sum) {
  const auto surplus = static_cast<std::uint32_t>(in.zero() * weight_sum);
  return static_cast<std::int32_t>(bias + static_cast<std::uint32_t>(extra) - surplus);
}

}  // namespace

PackedPhase::PackedPhase(const Program& program, const ConvInstr& conv, const Phase& phase, const EngineTensor& in,
                         std::int32_t start)
    : quads_(phase.quads) {
  const Stored stored{program, conv, in.shape.c / conv.groups};
  const int outs = conv.out.shape.c / conv.groups;
  lanes_ = round_up(outs, kLanes);
  group_bytes_ = std::ptrdiff_t{lanes_} * 4 * quads_;
  weights_ = Block<std::int8_t>(static_cast<std::size_t>(conv.groups * group_bytes_ + kTailBytes));
  starts_ = Block<std::int32_t>(static_cast<std::size_t>(conv.groups) * static_cast<std::size_t>(lanes_) + kMaxColumns);
  std::fill_n(weights_.data(), weights_.size(), std::int8_t{0});
  std::fill_n(starts_.data(), starts_.size(), 0);
  for (int o = 0; o < conv.out.shape.c; ++o) {
    const int group = o / outs, n = packed_lane(o % outs, outs);
    std::int8_t* panel = weights_.data() + group * group_bytes_ + std::ptrdiff_t{n / kLanes} * quads_ * 4 * kLanes;
    std::int64_t sum = 0;
    for (const TapPlace& tap : phase.taps) {
      for (int k = 0; k < stored.channels; ++k) {
        const int at = tap.offset + k;
        const std::int8_t weight = stored.weight(o, tap.i, tap.j, k);
        panel[at / 4 * 4 * kLanes + n % kLanes * 4 + at % 4] = weight;
        sum += weight;
      }
    }
    starts_.data()[group * lanes_ + n] = start_of(stored.bias(o), start, in, sum);
  }
}

PackedDepthwise pack_depthwise(const Program& program, const ConvInstr& conv, const EngineTensor& in,
                               std::int32_t start, bool three) {
  const Stored stored{program, conv, 1};
  const int channels = round_up(in.shape.c, kLanes), taps = conv.kernel_h * conv.kernel_w;
  const int quads = three ? 6 : ceil_div(taps, 4);
  PackedDepthwise packed{
      Block<std::int8_t>(static_cast<std::size_t>(channels) * 4 * static_cast<std::size_t>(quads) + kTailBytes),
      Block<std::int32_t>(static_cast<std::size_t>(channels + kMaxColumns))};
  std::fill_n(packed.weights.data(), packed.weights.size(), std::int8_t{0});
  std::fill_n(packed.starts.data(), packed.starts.size(), 0);
  std::int8_t* block_start = packed.weights.data();
  for (int c = 0; c < channels;) {
    const int block = depthwise_block(channels - c);
    for (int i = 0; i < block && c + i < in.shape.c; ++i) {
      const int lane = depthwise_lane(i, block);
      std::int8_t* place = block_start + 4 * std::ptrdiff_t{lane};
      std::int64_t sum = 0;
      for (int t = 0; t < taps; ++t) {
        const int row = t / conv.kernel_w, column = t % conv.kernel_w;
        const std::int8_t weight = stored.weight(c + i, row, column, 0);
        sum += weight;
        if (three) {
          place[column * 4 * block + row] = weight;
          place[(3 + column) * 4 * block + row + 1] = weight;
        } else {
          place[t / 4 * 4 * block + t % 4] = weight;
        }
      }
      packed.starts.data()[c + lane] = start_of(stored.bias(c + i), start, in, sum);
    }
    block_start += std::ptrdiff_t{quads} * 4 * block;
    c += block;
  }
  return packed;
}

}  // namespace binade::integer
