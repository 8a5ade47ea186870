// From accumulators to codes, and the memory that instructions work in: what all parts of the reference share.
#pragma once

#include <cstring>
#include <functional>
#include <mutex>
#include <span>

#include "core/base/parallel.hpp"
#include "core/integer/program.hpp"

namespace binade::interpreter {

inline std::int32_t load_int32(const std::byte* at) {
  std::int32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline void merge(InstructionStatistics& to, const InstructionStatistics& from) {
  to.worst_acc = to.worst_acc > from.worst_acc ? to.worst_acc : from.worst_acc;
  to.acc_beyond += from.acc_beyond;
  to.saturated += from.saturated;
  to.codes += from.codes;
}

/// What one instruction runs in.
struct Machine {
  const Program& program;
  std::byte* arena;
  InstructionStatistics& statistics;

  const std::byte* constants(std::uint32_t offset) const { return program.constants.data() + offset; }
  const std::byte* read(const Region& region) const {
    return region.constant ? constants(region.offset) : arena + region.offset;
  }
  std::byte* write(const Region& region) const { return arena + region.offset; }
};

/// Calls body(begin, end, statistics) for ranges of at most `grain` of n things. What the ranges count is added up:
/// sums and maxima do not depend on their order.
inline void for_ranges(
    const Machine& machine, std::int64_t n, std::int64_t grain,
    const std::function<void(std::int64_t begin, std::int64_t end, InstructionStatistics& statistics)>& body) {
  std::mutex mutex;
  parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    InstructionStatistics statistics;
    body(begin, end, statistics);
    const std::lock_guard lock(mutex);
    merge(machine.statistics, statistics);
  });
}

/// Pixels of `channels` codes that are worth a range of their own.
inline std::int64_t pixel_grain(std::int64_t channels) {
  return 1 + 16384 / (channels + 1);
}

/// The codes [first, first + codes.size()) of a region, widened.
inline void load_codes(const std::byte* from, std::int64_t first, QuantSpec spec, std::span<std::int32_t> codes) {
  const auto widen = [&]<class T>(T) {
    const std::byte* at = from + first * static_cast<std::int64_t>(sizeof(T));
    for (std::size_t i = 0; i < codes.size(); ++i) {
      T code;
      std::memcpy(&code, at + i * sizeof(T), sizeof(T));
      codes[i] = code;
    }
  };
  if (spec.bits <= 8) {
    spec.is_signed ? widen(std::int8_t{}) : widen(std::uint8_t{});
  } else {
    spec.is_signed ? widen(std::int16_t{}) : widen(std::uint16_t{});
  }
}

inline void store_codes(std::byte* to, std::int64_t first, QuantSpec spec, std::span<const std::int32_t> codes) {
  for (std::size_t i = 0; i < codes.size(); ++i) store_code(to, first + static_cast<std::int64_t>(i), spec, codes[i]);
}

/// A Requant with its slopes and limits at hand.
class Requantizer {
 public:
  Requantizer(const Requant& how, QuantSpec out, const Machine& machine)
      : how_(how),
        slopes_(machine.constants(how.slopes)),
        lowest_(how.lo == out.min_code() && out.is_signed ? how.lo : INT64_MIN),
        highest_(how.hi == out.max_code() ? how.hi : INT64_MAX),
        acc_limit_(INT64_MAX >> (64 - machine.program.accumulator_bits)) {}

  /// The code of an accumulator; `channel` chooses the slope.
  std::int32_t operator()(std::int64_t acc, std::int64_t channel, InstructionStatistics& statistics) const {
    return clamp(round_shift(sloped(acc, channel), how_.shift, how_.rounding), acc, statistics);
  }

  /// The same of acc / divisor, rounded once.
  std::int32_t operator()(std::int64_t acc, std::int64_t channel, std::int64_t divisor,
                          InstructionStatistics& statistics) const {
    const std::int64_t v = sloped(acc, channel);
    const std::int64_t code = how_.shift > 0 ? round_quotient(v, divisor << how_.shift, how_.rounding)
                                             : round_quotient(round_shift(v, how_.shift), divisor, how_.rounding);
    return clamp(code, acc, statistics);
  }

 private:
  std::int64_t sloped(std::int64_t acc, std::int64_t channel) const {
    if (how_.slope_count == 0) return acc;
    if (acc >= 0) return round_shift(acc, -how_.slope_frac);
    return acc * load_int32(slopes_ + 4 * (how_.slope_count == 1 ? 0 : channel));
  }

  std::int32_t clamp(std::int64_t code, std::int64_t acc, InstructionStatistics& statistics) const {
    const std::int64_t magnitude = acc < 0 ? -acc : acc;
    statistics.worst_acc = statistics.worst_acc > magnitude ? statistics.worst_acc : magnitude;
    statistics.acc_beyond += acc > acc_limit_ || acc < -acc_limit_ - 1 ? 1 : 0;
    statistics.saturated += code > highest_ || code < lowest_ ? 1 : 0;
    ++statistics.codes;
    return static_cast<std::int32_t>(code < how_.lo ? how_.lo : (code > how_.hi ? how_.hi : code));
  }

  const Requant how_;
  const std::byte* slopes_;
  std::int64_t lowest_, highest_;  ///< beyond which the spec, not a ReLU, cuts off
  std::int64_t acc_limit_;
};

void execute(const ConvInstr& instr, const Machine& machine);
void execute(const AddInstr& instr, const Machine& machine);
void execute(const MulInstr& instr, const Machine& machine);
void execute(const RescaleInstr& instr, const Machine& machine);
void execute(const SliceInstr& instr, const Machine& machine);
void execute(const PadInstr& instr, const Machine& machine);
void execute(const ReshapeInstr& instr, const Machine& machine);
void execute(const MaxPoolInstr& instr, const Machine& machine);
void execute(const AvgPoolInstr& instr, const Machine& machine);
void execute(const ResizeInstr& instr, const Machine& machine);
void execute(const TableInstr& instr, const Machine& machine);
void execute(const SoftmaxInstr& instr, const Machine& machine);

}  // namespace binade::interpreter
