// The parts of the check of a program whose numbers are not trusted yet.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/integer/program.hpp"

namespace binade::validation {

inline constexpr std::int64_t kMaxBytes = std::int64_t{1} << 31;   ///< of arena and constants
inline constexpr std::int64_t kMaxExtent = std::int64_t{1} << 24;  ///< of a region
inline constexpr std::int64_t kMaxWindow = std::int64_t{1} << 20;  ///< kernel, stride, pad, dilation
inline constexpr std::int64_t kRoom = std::int64_t{1} << 62;       ///< all intermediate values stay below

/// Checks in the name of one place: "instruction 3 'conv1' (conv)", "the program". All throw DataError.
class Check {
 public:
  Check(const Program& program, std::string place) : program_(program), place_(std::move(place)) {}

  const Program& program() const { return program_; }

  template <class... A>
  void that(bool holds, fmt::format_string<A...> message, A&&... arguments) const {
    if (!holds) throw DataError(place_ + ": " + fmt::format(message, std::forward<A>(arguments)...));
  }
  void range(std::string_view what, std::int64_t found, std::int64_t lo, std::int64_t hi) const {
    that(found >= lo && found <= hi, "{} is {}, want {} .. {}", what, found, lo, hi);
  }

  /// Where the constants [offset, offset + count * bytes_each) lie. `count` and `bytes_each` are below 2^31.
  const std::byte* constants(std::string_view what, std::int64_t offset, std::int64_t count,
                             std::int64_t bytes_each) const;

  /// Extents, spec, alignment, and that it lies where it says.
  void region(std::string_view what, const Region& region, bool may_be_constant = false) const;
  /// Two regions of one spec.
  void same_spec(const Region& in, const Region& out) const;

  /// That every accumulator up to `worst_acc`, divided by up to `largest_divisor` (0: by none), can be requantized in
  /// 64 bits. `channels` is what slope_count may be, besides 0 and 1.
  void requant(const Requant& how, QuantSpec out, std::int64_t channels, std::int64_t worst_acc,
               std::int64_t largest_divisor = 0) const;

 private:
  const Program& program_;
  std::string place_;
};

inline std::int32_t constant_int32(const std::byte* at, std::int64_t index) {
  std::int32_t value;
  std::memcpy(&value, at + 4 * index, sizeof value);
  return value;
}

// The fields of an operation, given that its regions are sound.
void check(const ConvInstr& instr, const Check& check);
void check(const AddInstr& instr, const Check& check);
void check(const MulInstr& instr, const Check& check);
void check(const RescaleInstr& instr, const Check& check);
void check(const SliceInstr& instr, const Check& check);
void check(const PadInstr& instr, const Check& check);
void check(const ReshapeInstr& instr, const Check& check);
void check(const MaxPoolInstr& instr, const Check& check);
void check(const AvgPoolInstr& instr, const Check& check);
void check(const ResizeInstr& instr, const Check& check);
void check(const TableInstr& instr, const Check& check);
void check(const SoftmaxInstr& instr, const Check& check);

/// That instructions read what was written: follows every byte of the arena through the program.
void check_flow(const Program& program);

/// "instruction 3 'conv1' (conv)"
std::string place_of(const Program& program, std::size_t instruction);

}  // namespace binade::validation
