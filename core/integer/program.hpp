// A network as a program of integer instructions: the machine, its memory and its manual.
//
// The machine has an arena of bytes, a block of constants and a list of instructions that run in order on one image.
// A tensor is a Region: h x w x c codes, packed, NHWC, little-endian, one byte per code up to 8 bits and two above,
// two's complement when signed. A code k of spec s is worth k * 2^-s.frac, and nothing else is known about scales: all
// that remains of them in the instructions are shifts.
//
// Arithmetic is exact integer arithmetic; accumulators never wrap. What a device with narrower accumulators would lose
// is counted, not imitated: `acc_bound` is a proof that nothing is lost, RunStatistics is evidence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/fixed_point.hpp"
#include "core/base/tensor.hpp"

namespace binade {

/// A place in the arena, or among the constants. shape.n is 1.
struct Region {
  Shape shape;
  QuantSpec spec;            ///< 2..16 bits
  std::uint32_t offset = 0;  ///< bytes, a multiple of kRegionAlignment
  bool constant = false;     ///< in Program::constants instead of the arena
  friend bool operator==(const Region&, const Region&) = default;
};
inline constexpr std::uint32_t kRegionAlignment = 64;

/// Bytes of one code.
constexpr int code_bytes(QuantSpec spec) {
  return spec.bits <= 8 ? 1 : 2;
}
inline std::int64_t bytes_of(const Region& region) {
  return region.shape.count() * code_bytes(region.spec);
}

/// How an accumulator becomes a code: the end of every arithmetic instruction.
/// @math v = acc                                         without slopes
///       v = acc >= 0 ? acc << slope_frac : acc * slope  with slopes: PReLU before rounding, c the channel
///       code = min(max(round(v * 2^-shift / divisor), lo), hi), rounded once, exactly; divisor 1 but for averages
struct Requant {
  /// of v, slope_frac included: -62..63 (beyond 63 all codes are 0, as at 63); negative shifts left. The worst v that
  /// operands can give, shifted left, stays below 2^62; so does the largest divisor << shift
  std::int32_t shift = 0;
  Rounding rounding = Rounding::half_up;
  std::int32_t lo = 0, hi = 0;   ///< within the codes of the output's spec
  std::uint32_t slopes = 0;      ///< constants: `slope_count` int32, the codes of PReLU's slopes, times 2^slope_frac
  std::int32_t slope_count = 0;  ///< 0: none; 1: for all channels; else one per output channel
  std::int32_t slope_frac = 0;   ///< 0..24
  friend bool operator==(const Requant&, const Requant&) = default;
};

/// Convolution, grouped, dilated, depthwise; a fully connected layer is a 1x1 convolution. Transposed: its adjoint.
/// @math acc[y,x,o] = (bias[o] << bias_shift) + sum in[y*stride_h - pad_top + i*dilation_h, ..., g*ic/groups + k] *
///       w[o,i,j,k]; outside the input, codes are 0. Transposed: in[a,b] reaches the output at row
///       a*stride_h - pad_top + i*dilation_h, with the same weights
struct ConvInstr {
  static constexpr std::string_view name = "conv";
  Region in, out;
  std::int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;  ///< bottom and right follow from the output's extents
  std::int32_t dilation_h = 1, dilation_w = 1, groups = 1;
  bool transposed = false;
  std::uint8_t weight_bits = 8;  ///< 2..16; codes of one byte up to 8 bits, of two above
  std::uint32_t weights = 0;     ///< constants: {oc, kernel_h, kernel_w, ic / groups} signed codes
  std::uint32_t bias = 0;        ///< constants: oc int32
  std::int32_t bias_shift = 0;   ///< 0..31, to the left, to the accumulator's scale
  std::int64_t acc_bound = 0;    ///< proven: no |acc|, no partial sum in any order, exceeds it
  Requant requant;
  friend bool operator==(const ConvInstr&, const ConvInstr&) = default;
};

/// @math acc = (a << shift_a) + (b << shift_b). Extents of a and b are out's, or 1 (broadcast); one may be constant
struct AddInstr {
  static constexpr std::string_view name = "add";
  Region a, b, out;
  std::int32_t shift_a = 0, shift_b = 0;  ///< 0..31; one of them is 0
  Requant requant;
  friend bool operator==(const AddInstr&, const AddInstr&) = default;
};

/// @math acc = a * b. Broadcast as AddInstr
struct MulInstr {
  static constexpr std::string_view name = "mul";
  Region a, b, out;
  Requant requant;
  friend bool operator==(const MulInstr&, const MulInstr&) = default;
};

/// Brings codes to another grid and writes them to the channels [first_channel, first_channel + in.c) of out, other
/// channels untouched: change of scale, stand-alone PReLU and ReLU, each operand of a concatenation. @math acc = in
struct RescaleInstr {
  static constexpr std::string_view name = "rescale";
  Region in, out;
  std::int32_t first_channel = 0;
  Requant requant;  ///< slopes are indexed by the input's channel
  friend bool operator==(const RescaleInstr&, const RescaleInstr&) = default;
};

/// Every `step`-th element from `begin` on along one axis (1 h, 2 w, 3 c), as many as out has. Same spec.
struct SliceInstr {
  static constexpr std::string_view name = "slice";
  Region in, out;
  std::int32_t axis = 1, begin = 0, step = 1;
  friend bool operator==(const SliceInstr&, const SliceInstr&) = default;
};

/// Puts `in` into `out` at the given place; everything else of out is `fill`. Same spec.
struct PadInstr {
  static constexpr std::string_view name = "pad";
  Region in, out;
  std::int32_t top = 0, left = 0, first_channel = 0;
  std::int32_t fill = 0;
  friend bool operator==(const PadInstr&, const PadInstr&) = default;
};

/// The same codes in the same order under other extents.
struct ReshapeInstr {
  static constexpr std::string_view name = "reshape";
  Region in, out;
  friend bool operator==(const ReshapeInstr&, const ReshapeInstr&) = default;
};

/// The largest code of the part of the window inside the input. Same spec. Every window meets the input.
struct MaxPoolInstr {
  static constexpr std::string_view name = "max_pool";
  Region in, out;
  std::int32_t kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2, pad_top = 0, pad_left = 0;
  friend bool operator==(const MaxPoolInstr&, const MaxPoolInstr&) = default;
};

/// @math acc = sum of the codes of the window inside the input; divisor = their number; with count_include_pad, the
///       number of positions of the window inside [-pad_top, h + pad_bottom) x [-pad_left, w + pad_right)
/// A global average is a window as large as the input. The quotient is rounded once, exactly.
struct AvgPoolInstr {
  static constexpr std::string_view name = "avg_pool";
  Region in, out;
  std::int32_t kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2;
  std::int32_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool count_include_pad = false;
  Requant requant;
  friend bool operator==(const AvgPoolInstr&, const AvgPoolInstr&) = default;
};

/// One line of a resize table: where an output row (or column) comes from.
struct ResizeTap {
  std::int32_t first = 0, second = 0;  ///< input indices
  std::int32_t weight = 0;             ///< of the second, 0 .. 2^weight_bits; the first has the rest
};

/// Separable linear interpolation; nearest is weight_bits 0 with second = first.
/// @math acc = sum over the four neighbours of weight_y * weight_x * in; divisor 1, 2 * weight_bits are part of shift
struct ResizeInstr {
  static constexpr std::string_view name = "resize";
  Region in, out;
  std::int32_t weight_bits = 0;         ///< 0..11
  std::uint32_t rows = 0, columns = 0;  ///< constants: out.h and out.w ResizeTaps (three int32 each)
  Requant requant;
  friend bool operator==(const ResizeInstr&, const ResizeInstr&) = default;
};

/// out = table[in - in.spec.min_code()]: any function of one code.
struct TableInstr {
  static constexpr std::string_view name = "table";
  Region in, out;
  std::uint32_t table = 0;  ///< constants: 2^in.bits codes of out's type
  friend bool operator==(const TableInstr&, const TableInstr&) = default;
};

/// Softmax over the channels of a pixel, with a table of exponentials.
/// @math e[c] = exponentials[min(max_k in[k] - in[c], count - 1)]; acc = e[c], divisor = sum of e; shift is negative:
///       -out.spec.frac
struct SoftmaxInstr {
  static constexpr std::string_view name = "softmax";
  Region in, out;
  std::uint32_t exponentials = 0;  ///< constants: `count` int32, falling, the last 0 unless the table is complete
  std::int32_t count = 0;
  Requant requant;
  friend bool operator==(const SoftmaxInstr&, const SoftmaxInstr&) = default;
};

using Operation = std::variant<ConvInstr, AddInstr, MulInstr, RescaleInstr, SliceInstr, PadInstr, ReshapeInstr,
                               MaxPoolInstr, AvgPoolInstr, ResizeInstr, TableInstr, SoftmaxInstr>;

struct Instruction {
  std::string name;  ///< of the graph value whose codes it makes
  Operation operation;
  friend bool operator==(const Instruction&, const Instruction&) = default;
};

/// A tensor of the graph that the program holds: complete after instruction `after` (-1: the input).
struct ProgramTensor {
  std::string name;  ///< of the graph value
  Region region;
  std::int32_t after = -1;
  friend bool operator==(const ProgramTensor&, const ProgramTensor&) = default;
};

struct Program {
  std::vector<Instruction> code;
  std::vector<std::byte> constants;
  std::uint32_t arena_bytes = 0;
  Region input, output;
  std::vector<ProgramTensor> tensors;  ///< in order of `after`; regions may share memory when lifetimes do not overlap
  Rounding input_rounding = Rounding::half_up;  ///< of the reals that become the input's codes, at the door
  std::string target;                           ///< name of the profile it was lowered for
  std::int32_t accumulator_bits = 32;           ///< of that target for these widths; beyond it, RunStatistics counts
  friend bool operator==(const Program&, const Program&) = default;
};

/// The regions that an operation reads from the arena, and the one it writes.
std::vector<Region> inputs_of(const Operation& operation);
const Region& output_of(const Operation& operation);
std::string_view operation_name(const Operation& operation);

/// Checks everything that running relies on: extents, specs, alignment, every offset and length inside arena and
/// constants, shifts, clamps, tables, that operands do not overlap the result, that no tensor is read before it is
/// written or after it was overwritten (a part of a tensor may be read, under other extents), and that acc_bound is at
/// least accumulator_bound().
/// @throws DataError naming the instruction and what is wrong with it
void validate(const Program& program);

/// The smallest acc_bound that is a proof: the largest |partial sum| that weights, bias and any input codes can give.
/// @math max over o of max(P, N); P = sum max(w * x over all codes x) + max(b, 0), N likewise of the negative sums
std::int64_t accumulator_bound(const ConvInstr& conv, std::span<const std::byte> constants);

/// SHA-256, in hex, of everything in the program but names of tensors and instructions: equal programs, equal hashes.
std::string program_hash(const Program& program);

/// What happened in one instruction, over all images it ran on.
struct InstructionStatistics {
  std::int64_t worst_acc = 0;   ///< largest |acc|
  std::int64_t acc_beyond = 0;  ///< accumulators that Program::accumulator_bits, signed, do not hold
  std::int64_t saturated = 0;   ///< codes cut off at the ends of the spec; what a ReLU cuts off does not count
  std::int64_t codes = 0;       ///< all codes made
};
struct RunStatistics {
  std::vector<InstructionStatistics> instructions;
  void merge(const RunStatistics& other);
};

/// The reference: runs the program instruction by instruction, without a float. `in` and `out` are regions' bytes; the
/// arena has at least arena_bytes, aligned to kRegionAlignment. The program must be valid. After each instruction the
/// arena holds the tensors that are alive; `after(i)` is called then, if given, for i from 0, and once before with -1.
struct Interpretation {
  RunStatistics* statistics = nullptr;
  void (*after)(void* context, std::int32_t instruction) = nullptr;
  void* context = nullptr;
};
void run(const Program& program, std::span<const std::byte> in, std::span<std::byte> out, std::span<std::byte> arena,
         const Interpretation& how = {});

/// Reads one code; and writes it. The index counts codes.
inline std::int32_t load_code(const std::byte* codes, std::int64_t index, QuantSpec spec) {
  if (spec.bits <= 8) {
    const auto byte = static_cast<std::uint8_t>(codes[index]);
    return spec.is_signed ? static_cast<std::int8_t>(byte) : byte;
  }
  const auto low = static_cast<std::uint8_t>(codes[2 * index]), high = static_cast<std::uint8_t>(codes[2 * index + 1]);
  const auto word = static_cast<std::uint16_t>(low | high << 8);
  return spec.is_signed ? static_cast<std::int16_t>(word) : word;
}
inline void store_code(std::byte* codes, std::int64_t index, QuantSpec spec, std::int32_t code) {
  if (spec.bits <= 8) {
    codes[index] = static_cast<std::byte>(code);
  } else {
    codes[2 * index] = static_cast<std::byte>(code);
    codes[2 * index + 1] = static_cast<std::byte>(code >> 8);
  }
}

}  // namespace binade
