// Packs weights of 16 bits, and proves where sums may go on without being split.
#include "core/integer/engine/wide_packing.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/integer/engine/finish.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kSplitRest = 65535;  ///< what splitting may leave
constexpr int kMostFoldedShift = 30;

/// The largest sum, in any order, that a pair of weights adds to.
std::int64_t reach_of(const WideChannel& channel, std::size_t pair, std::int64_t largest) {
  const std::int64_t a = channel.weights[2 * pair], b = channel.weights[2 * pair + 1];
  return largest * ((a < 0 ? -a : a) + (b < 0 ? -b : b));
}

/// How many pairs from `first` on fit in a chunk, for all channels; 0 if not a single one does.
std::int32_t chunk_from(const WideChannel* channels, int count, std::size_t first, std::int64_t largest) {
  const std::size_t pairs = channels[0].weights.size() / 2;
  std::size_t most = pairs - first;
  for (int c = 0; c < count; ++c) {
    std::int64_t sum = kSplitRest;
    for (std::size_t p = 0; p < most; ++p) {
      sum += reach_of(channels[c], first + p, largest);
      if (sum > kMost) most = p;
    }
  }
  return static_cast<std::int32_t>(most);
}

}  // namespace

WideFinish WideFinishing::from_channel(int first) const {
  WideFinish from = finish;
  if (!slopes.empty()) from.slopes = slopes.data() + first;
  return from;
}

bool WideFinishing::is_narrow(std::int64_t bound) const {
  if (!slopes.empty() || finish.shift < 0 || finish.shift > 30) return false;
  const std::int64_t half = finish.shift == 0 ? 0 : std::int64_t{1} << (finish.shift - 1);
  return bound >= 0 && bound + half <= kMost;
}

WideFinishing wide_finishing(const Program& program, const Requant& requant, const EngineTensor& out, int channels,
                             bool may_fold) {
  WideFinishing made;
  made.finish = {.shift = requant.shift,
                 .lo = requant.lo,
                 .hi = requant.hi,
                 .zero = out.stored_zero(),
                 .words = !out.is_bytes(),
                 .round = round_of(requant.rounding),
                 .slope_frac = requant.slope_frac};
  made.slopes = slopes_of(program, requant, channels, 0);
  const bool floors = requant.shift == 0 || requant.rounding == Rounding::half_up;
  if (may_fold && floors && made.slopes.empty() && requant.shift >= 0 && requant.shift <= kMostFoldedShift) {
    made.finish.folded = true;
    made.start = requant.shift == 0 ? 0 : std::int64_t{1} << (requant.shift - 1);
    made.split_start = std::int64_t{made.finish.zero} * (std::int64_t{1} << requant.shift);
  }
  return made;
}

WideWeights::WideWeights(const Program& program, const ConvInstr& conv, const EngineTensor& in, std::int64_t start)
    : program_(program),
      conv_(conv),
      start_(start),
      lowest_(in.spec.min_code()),
      highest_(in.spec.max_code()),
      zero_(in.is_bytes() ? 0 : in.stored_zero()) {}

WideChannel WideWeights::channel(int o, int pairs) const {
  std::int32_t code;
  std::memcpy(&code, program_.constants.data() + conv_.bias + 4 * static_cast<std::size_t>(o), sizeof code);
  const std::int64_t bias = std::int64_t{code} * (std::int64_t{1} << conv_.bias_shift);
  return {.weights = std::vector<std::int16_t>(2 * static_cast<std::size_t>(pairs)),
          .start = bias + start_,
          .above = std::max<std::int64_t>(bias, 0) + start_,
          .below = std::max<std::int64_t>(-bias, 0)};
}

void WideWeights::place(WideChannel& channel, int at, int o, int i, int j, int k) const {
  const int channels = conv_.in.shape.c / conv_.groups;
  const std::int64_t index = ((std::int64_t{o} * conv_.kernel_h + i) * conv_.kernel_w + j) * channels + k;
  const QuantSpec spec{.bits = conv_.weight_bits, .is_signed = true};
  const std::int64_t weight = load_code(program_.constants.data() + conv_.weights, index, spec);
  channel.weights[static_cast<std::size_t>(at)] = static_cast<std::int16_t>(weight);
  channel.start -= zero_ * weight;
  channel.above += std::max(lowest_ * weight, highest_ * weight);
  channel.below += std::max(-lowest_ * weight, -highest_ * weight);
}

void WideBlocks::add(const std::vector<WideChannel>& channels) {
  const int count = static_cast<int>(channels.size());
  for (int first = 0; first < count; first += 2 * lanes_) {
    add_block(channels.data() + first, std::min(2 * lanes_, count - first));
  }
}

void WideBlocks::add_block(const WideChannel* channels, int count) {
  const int panels = panels_ > 0 ? panels_ : (count > lanes_ ? 2 : 1), width = panels * lanes_;
  const std::size_t pairs = channels[0].weights.size() / 2;
  Place place{
      .weights = weights_.size(), .starts = low_.size(), .chunks = chunks_.size(), .channels = count, .splits = 1};
  place.narrow =
      std::all_of(channels, channels + count, [](const WideChannel& c) { return std::max(c.above, c.below) <= kMost; });
  weights_.resize(weights_.size() + pairs * static_cast<std::size_t>(width) * 2);
  low_.resize(low_.size() + static_cast<std::size_t>(width));
  high_.resize(low_.size());
  for (int n = 0; n < count; ++n) {
    const auto lane = static_cast<std::size_t>(packed_word(n, width, lanes_));
    for (std::size_t p = 0; p < pairs; ++p) {
      std::int16_t* to = &weights_[place.weights + (p * static_cast<std::size_t>(width) + lane) * 2];
      to[0] = channels[n].weights[2 * p];
      to[1] = channels[n].weights[2 * p + 1];
    }
    const std::int64_t start = channels[n].start + (place.narrow ? 0 : split_start_);
    low_[place.starts + lane] = static_cast<std::int32_t>(place.narrow ? start : start & kSplitRest);
    high_[place.starts + lane] = static_cast<std::int32_t>(start >> 16);
  }
  std::size_t columns = 0;
  for (std::size_t first = 0; first < pairs && !place.narrow;) {
    const std::int32_t fit = std::max(1, chunk_from(channels, count, first, largest_));
    if (first % 2 == 0) columns += fit >= 2 ? 1 : 0;
    chunks_.push_back(chunks_kind_ == Chunks::columns ? std::min(fit, first % 2 == 0 ? 2 : 1) : fit);
    first += static_cast<std::size_t>(chunks_.back());
  }
  if (chunks_kind_ == Chunks::columns && columns < pairs / 2) place.splits = 2;
  chunks_.push_back(0);
  places_.push_back(place);
}

WideBlock WideBlocks::block(std::size_t i) const {
  const Place& place = places_[i];
  return {.w = weights_.data() + place.weights,
          .low = low_.data() + place.starts,
          .high = high_.data() + place.starts,
          .chunks = place.narrow ? nullptr : chunks_.data() + place.chunks,
          .channels = place.channels};
}

std::size_t WideBlocks::bytes() const {
  return 2 * weights_.size() + 4 * (low_.size() + high_.size() + chunks_.size());
}

std::int64_t largest_word(const EngineTensor& in) {
  const std::int64_t zero = in.is_bytes() ? 0 : in.stored_zero();
  return std::max(std::abs(in.spec.min_code() + zero), std::abs(in.spec.max_code() + zero));
}

const WideKernels& kernels_that_take(const Kernels& kernels, const std::vector<WideChannel>& channels,
                                     std::int64_t largest) {
  for (const WideChannel& channel : channels) {
    for (std::size_t p = 0; p < channel.weights.size() / 2; ++p) {
      if (reach_of(channel, p, largest) + kSplitRest > kMost) return wide_kernels_portable;
    }
  }
  return *kernels.wide;
}

bool wide_sums_fit(const ConvInstr& conv) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 46;
  return conv.acc_bound >= 0 && conv.acc_bound < kLimit;
}

}  // namespace binade::integer
