// Whether a program can be run: its regions, its numbers, then operation by operation, then the flow of its data.
#include "core/integer/validate.hpp"

namespace binade {
namespace validation {
namespace {

__extension__ using Wide = __int128;

Wide shifted_left(Wide v, int bits) {
  return v * (Wide{1} << bits);
}

}  // namespace

std::string place_of(const Program& program, std::size_t instruction) {
  const Instruction& at = program.code[instruction];
  return fmt::format("instruction {} '{}' ({})", instruction, at.name, operation_name(at.operation));
}

const std::byte* Check::constants(std::string_view what, std::int64_t offset, std::int64_t count,
                                  std::int64_t bytes_each) const {
  const auto size = static_cast<std::int64_t>(program_.constants.size());
  that(offset >= 0 && count <= kMaxBytes / bytes_each && offset + count * bytes_each <= size,
       "{} are {} values of {} bytes at {}, but there are only {} bytes of constants", what, count, bytes_each, offset,
       size);
  return program_.constants.data() + offset;
}

void Check::region(std::string_view what, const Region& region, bool may_be_constant) const {
  const Shape& s = region.shape;
  const QuantSpec spec = region.spec;
  that(s.n == 1, "{} has shape {}, want one image", what, to_string(s));
  std::int64_t count = 1;
  for (const int extent : {s.h, s.w, s.c}) {
    that(extent >= 1 && extent <= kMaxExtent && count <= kMaxBytes / extent,
         "{} has shape {}, want extents of 1 .. {} and at most 2^31 codes", what, to_string(s), kMaxExtent);
    count *= extent;
  }
  that(spec.bits >= 2 && spec.bits <= 16 && spec.frac >= -100 && spec.frac <= 100,
       "{} has {} bits and frac {}, want 2 .. 16 bits and frac -100 .. 100", what, spec.bits, spec.frac);
  that(region.offset % kRegionAlignment == 0, "{} begins at byte {}, want a multiple of {}", what, region.offset,
       kRegionAlignment);
  if (!region.constant) {
    that(region.offset + bytes_of(region) <= program_.arena_bytes,
         "{} takes the bytes {} .. {} of an arena of {} bytes", what, region.offset, region.offset + bytes_of(region),
         program_.arena_bytes);
    return;
  }
  that(may_be_constant, "{} is a constant, want a place in the arena", what);
  const std::byte* codes = constants(fmt::format("the codes of {}", what), region.offset, count, code_bytes(spec));
  for (std::int64_t i = 0; i < count; ++i)
    range("a constant code", load_code(codes, i, spec), spec.min_code(), spec.max_code());
}

void Check::same_spec(const Region& in, const Region& out) const {
  that(in.spec == out.spec, "in has {} {} bits and frac {}, out {} {} bits and frac {}, want the same",
       in.spec.is_signed ? "signed" : "unsigned", in.spec.bits, in.spec.frac,
       out.spec.is_signed ? "signed" : "unsigned", out.spec.bits, out.spec.frac);
}

void Check::requant(const Requant& how, QuantSpec out, std::int64_t channels, std::int64_t worst_acc,
                    std::int64_t largest_divisor) const {
  range("shift", how.shift, -62, 63);
  range("rounding", static_cast<std::int64_t>(how.rounding), 0, 2);
  range("lo", how.lo, out.min_code(), out.max_code());
  range("hi", how.hi, how.lo, out.max_code());
  that(how.slope_count == 0 || how.slope_count == 1 || how.slope_count == channels,
       "slope_count is {}, want 0, 1 or one for each of {} channels", how.slope_count, channels);
  Wide worst = worst_acc;
  if (how.slope_count != 0) {
    range("slope_frac", how.slope_frac, 0, 24);
    const std::byte* slopes = constants("the slopes", how.slopes, how.slope_count, 4);
    std::int64_t steepest = std::int64_t{1} << how.slope_frac;
    for (std::int64_t i = 0; i < how.slope_count; ++i) {
      const std::int64_t slope = constant_int32(slopes, i);
      steepest = std::max(steepest, slope < 0 ? -slope : slope);
    }
    worst *= steepest;
  }
  if (how.shift < 0 && worst < kRoom) worst = shifted_left(worst, -how.shift);
  that(worst < kRoom, "an accumulator of {} does not fit in 62 bits after its slope and a shift of {}", worst_acc,
       how.shift);
  that(how.shift <= 0 || shifted_left(largest_divisor, how.shift) < kRoom,
       "a divisor of {} and a shift of {} do not fit in 62 bits together", largest_divisor, how.shift);
}

namespace {

bool overlap(const Region& x, const Region& y) {
  return !x.constant && x.offset < y.offset + bytes_of(y) && y.offset < x.offset + bytes_of(x);
}

/// The regions of an operation; then all that is its own.
template <class Instr>
void check_operation(const Instr& instr, const Check& place) {
  place.region("out", instr.out);
  const auto read = [&](std::string_view what, const Region& region, bool may_be_constant) {
    place.region(what, region, may_be_constant);
    place.that(!overlap(region, instr.out), "the bytes of {} ({} on from {}) overlap those of out ({} on from {})",
               what, bytes_of(region), region.offset, bytes_of(instr.out), instr.out.offset);
  };
  if constexpr (requires { instr.in; }) {
    read("in", instr.in, false);
  } else {
    read("a", instr.a, true);
    read("b", instr.b, !instr.a.constant);
  }
  check(instr, place);
}

void check_tensors(const Program& program) {
  std::int32_t before = -1;
  for (const ProgramTensor& tensor : program.tensors) {
    const Check place(program, fmt::format("tensor '{}'", tensor.name));
    place.region("it", tensor.region);
    place.range("after", tensor.after, before, static_cast<std::int64_t>(program.code.size()) - 1);
    before = tensor.after;
  }
}

}  // namespace
}  // namespace validation

void validate(const Program& program) {
  using namespace validation;
  const Check place(program, "the program");
  place.range("accumulator_bits", program.accumulator_bits, 16, 64);
  place.range("input_rounding", static_cast<std::int64_t>(program.input_rounding), 0, 2);
  place.range("arena_bytes", program.arena_bytes, 0, kMaxBytes);
  place.range("the number of bytes of constants", static_cast<std::int64_t>(program.constants.size()), 0, kMaxBytes);
  place.range("the number of instructions", static_cast<std::int64_t>(program.code.size()), 0, 1 << 20);
  place.region("the input", program.input);
  place.region("the output", program.output);
  for (std::size_t i = 0; i < program.code.size(); ++i) {
    const Check here(program, place_of(program, i));
    std::visit([&](const auto& instr) { check_operation(instr, here); }, program.code[i].operation);
  }
  check_tensors(program);
  check_flow(program);
}

}  // namespace binade
