// The generator of programs: tensors one after the other, each made from one or two that are there.
#include "tests/harness/random_program.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/base/error.hpp"

namespace binade::harness {
namespace {

class Generator {
 public:
  Generator(Random& random, const ProgramKind& kind) : random_(random), kind_(kind) {
    program_.input = place(random_shape(), random_spec());
    program_.accumulator_bits = one_of({32, 32, 24, 40, 16, 64});
    program_.input_rounding = rounding();
    program_.target = "random";
    program_.tensors.push_back({"input", program_.input, -1});
    alive_.push_back(program_.input);
  }

  Program make() {
    for (int i = 0; i < kind_.instructions; ++i) add_instruction(i);
    program_.output = alive_.back();
    program_.arena_bytes = static_cast<std::uint32_t>(arena_);
    return std::move(program_);
  }

 private:
  // Dice.
  int between(int lo, int hi) {
    return lo + static_cast<int>(random_.below(static_cast<std::uint64_t>(std::max(0, hi - lo)) + 1));
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  int one_of(std::initializer_list<int> of) { return of.begin()[between(0, static_cast<int>(of.size()) - 1)]; }
  Rounding rounding() { return static_cast<Rounding>(between(0, 2)); }
  std::int64_t code_of(QuantSpec spec) {
    const auto range = static_cast<std::uint64_t>(spec.max_code() - spec.min_code() + 1);
    return spec.min_code() + static_cast<std::int64_t>(random_.below(range));
  }
  Shape random_shape() {
    const int widest = chance(70) ? std::min(kind_.max_channels, 12) : kind_.max_channels;
    return {1, chance(15) ? 1 : between(1, kind_.max_extent), chance(15) ? 1 : between(1, kind_.max_extent),
            chance(15) ? 1 : between(1, widest)};
  }
  QuantSpec random_spec() {
    const int bits = kind_.whole_bits || chance(75) ? one_of({8, 16}) : between(2, 16);
    return {static_cast<std::int8_t>(between(0, 12)), static_cast<std::uint8_t>(bits), chance(50)};
  }

  // Memory.
  Region place(Shape shape, QuantSpec spec) {
    Region region{shape, spec, 0};
    const std::int64_t bytes = (bytes_of(region) + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    region.offset = static_cast<std::uint32_t>(arena_);
    arena_ += bytes;
    return region;
  }
  /// A place of its own, or that of a tensor which `operands` do not include.
  Region place_result(Shape shape, QuantSpec spec, const std::vector<Region>& operands) {
    if (chance(30)) {
      for (std::size_t i = 0; i < alive_.size(); ++i) {
        Region region{shape, spec, alive_[i].offset};
        if (bytes_of(region) > bytes_of(alive_[i])) continue;
        if (std::find(operands.begin(), operands.end(), alive_[i]) != operands.end()) continue;
        alive_.erase(alive_.begin() + static_cast<std::ptrdiff_t>(i));
        return region;
      }
    }
    return place(shape, spec);
  }
  std::uint32_t constant_bytes(std::size_t bytes) {
    const std::size_t at = (program_.constants.size() + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    program_.constants.resize(at + bytes);
    return static_cast<std::uint32_t>(at);
  }
  std::uint32_t constant_int32(const std::vector<std::int32_t>& values) {
    const std::uint32_t at = constant_bytes(4 * values.size());
    std::memcpy(program_.constants.data() + at, values.data(), 4 * values.size());
    return at;
  }
  std::uint32_t constant_codes(std::int64_t count, QuantSpec spec) {
    const Region region{{1, 1, 1, static_cast<int>(count)}, spec};
    const auto codes = random_codes(random_, region);
    const std::uint32_t at = constant_bytes(codes.size());
    std::copy(codes.begin(), codes.end(), program_.constants.begin() + at);
    return at;
  }
  Region operand() { return chance(60) ? alive_.back() : alive_[random_.below(alive_.size())]; }

  // The end of an instruction: a shift that brings `worst` near the output's range, and sometimes anything.
  Requant requant(QuantSpec out, int channels, std::int64_t worst, std::int64_t divisor = 0) {
    Requant how{.rounding = rounding()};
    how.lo = static_cast<std::int32_t>(out.min_code());
    how.hi = static_cast<std::int32_t>(out.max_code());
    if (chance(30)) how.lo = 0;
    if (chance(20)) {
      how.lo = static_cast<std::int32_t>(code_of(out));
      how.hi = between(how.lo, how.hi);
    }
    int bits = 1;
    while (bits < 62 && worst / std::max<std::int64_t>(divisor, 1) >> bits != 0) ++bits;
    how.shift = bits - out.bits + between(-4, 4);
    if (chance(10)) how.shift = between(-20, 40);
    if (chance(3)) how.shift = 63;
    if (chance(25)) add_slopes(how, channels);
    __extension__ using Wide = __int128;
    Wide v = worst;
    if (how.slope_count != 0) v = v * std::max<std::int64_t>(steepest_, std::int64_t{1} << how.slope_frac);
    if (v >= Wide{1} << 61) {
      how.slope_count = how.slope_frac = 0;
      v = worst;
    }
    how.shift = std::clamp(how.shift, -62, 63);
    while (how.shift < 0 && (v << -how.shift) >= Wide{1} << 62) ++how.shift;
    while (how.shift > 0 && (Wide{divisor} << how.shift) >= Wide{1} << 62) --how.shift;
    return how;
  }
  void add_slopes(Requant& how, int channels) {
    how.slope_count = chance(50) ? 1 : channels;
    how.slope_frac = one_of({0, 4, 8, 12, 16, 24, between(0, 24)});
    std::vector<std::int32_t> slopes;
    steepest_ = 0;
    for (int i = 0; i < how.slope_count; ++i) {
      const int one = 1 << how.slope_frac;
      slopes.push_back(chance(5) ? one_of({INT32_MIN, INT32_MAX}) : between(-one, 2 * one));
      steepest_ = std::max(steepest_, std::abs(std::int64_t{slopes.back()}));
    }
    how.slopes = constant_int32(slopes);
    how.shift += how.slope_frac;
  }
  static std::int64_t largest(QuantSpec spec) { return std::max(spec.max_code(), -spec.min_code()); }

  // One function for each operation.
  void make(ConvInstr& conv) {
    conv.in = operand();
    const Shape in = conv.in.shape;
    Shape out;
    conv.transposed = chance(25);
    out.h = choose_axis(in.h, conv.transposed, conv.kernel_h, conv.stride_h, conv.pad_top, conv.dilation_h);
    out.w = choose_axis(in.w, conv.transposed, conv.kernel_w, conv.stride_w, conv.pad_left, conv.dilation_w);
    out.c = between(1, chance(70) ? 12 : kind_.max_channels);
    if (chance(30)) {  // depthwise, sometimes with several outputs per input
      conv.groups = in.c;
      out.c = in.c * (chance(70) ? 1 : between(1, 3));
    } else if (chance(30)) {
      conv.groups = between(1, in.c);
      while (in.c % conv.groups != 0) --conv.groups;
      out.c = conv.groups * between(1, 4);
    }
    conv.weight_bits = static_cast<std::uint8_t>(kind_.whole_bits || chance(80) ? one_of({8, 16, 8}) : between(2, 16));
    const QuantSpec spec{.bits = conv.weight_bits};
    conv.weights = constant_codes(std::int64_t{out.c} * conv.kernel_h * conv.kernel_w * (in.c / conv.groups), spec);
    std::vector<std::int32_t> bias;
    conv.bias_shift = chance(50) ? 0 : between(0, chance(90) ? 12 : 31);
    const QuantSpec bias_spec{.bits = static_cast<std::uint8_t>(one_of({8, 8, 16, 16, 24, 32}))};
    for (int o = 0; o < out.c; ++o) bias.push_back(static_cast<std::int32_t>(chance(20) ? 0 : code_of(bias_spec)));
    conv.bias = constant_int32(bias);
    conv.out = place_result(out, random_spec(), {conv.in});
    conv.acc_bound = accumulator_bound(conv, program_.constants) + (chance(50) ? 0 : between(0, 1000));
    conv.requant = requant(conv.out.spec, out.c, conv.acc_bound);
  }
  /// Kernel, stride, pad and dilation along one axis; the output's extent.
  int choose_axis(int in, bool transposed, int& kernel, int& stride, int& pad, int& dilation) {
    kernel = one_of({1, 1, 2, 3, 3, 5, 7});
    stride = one_of({1, 1, 1, 2, 2, 3});
    dilation = chance(70) ? 1 : between(1, 3);
    const int reach = (kernel - 1) * dilation + 1;
    pad = chance(40) ? 0 : between(0, reach);
    const int after = chance(50) ? pad : between(0, reach);
    if (transposed) {
      const int full = (in - 1) * stride + reach;
      pad = std::min(pad, full - 1);
      return std::max(1, full - pad - after + between(0, stride - 1));
    }
    return std::max(0, in + pad + after - reach) / stride + 1;
  }

  /// A second operand of the first one's shape, sometimes constant, sometimes broadcast.
  template <class Instr>
  Shape choose_operands(Instr& instr) {
    instr.a = operand();
    Shape out = instr.a.shape;
    Shape other = out;
    if (chance(40)) other = {1, chance(50) ? 1 : out.h, chance(50) ? 1 : out.w, chance(50) ? 1 : out.c};
    if (chance(10) && out.c == 1) out.c = other.c = between(1, kind_.max_channels);
    instr.b = {other, random_spec(), 0, true};
    for (const Region& region : alive_) {
      if (region.shape == other && chance(60)) instr.b = region;
    }
    if (instr.b.constant) instr.b.offset = constant_codes(other.count(), instr.b.spec);
    if (chance(50)) std::swap(instr.a, instr.b);
    return out;
  }
  void make(AddInstr& add) {
    const Shape out = choose_operands(add);
    (chance(50) ? add.shift_a : add.shift_b) = chance(30) ? 0 : between(0, chance(90) ? 8 : 31);
    add.out = place_result(out, random_spec(), {add.a, add.b});
    add.requant =
        requant(add.out.spec, out.c, (largest(add.a.spec) << add.shift_a) + (largest(add.b.spec) << add.shift_b));
  }
  void make(MulInstr& mul) {
    const Shape out = choose_operands(mul);
    mul.out = place_result(out, random_spec(), {mul.a, mul.b});
    mul.requant = requant(mul.out.spec, out.c, largest(mul.a.spec) * largest(mul.b.spec));
  }
  void make(RescaleInstr& rescale) {
    rescale.in = operand();
    rescale.out = place_result(rescale.in.shape, random_spec(), {rescale.in});
    rescale.requant = requant(rescale.out.spec, rescale.in.shape.c, largest(rescale.in.spec));
  }
  void make(SliceInstr& slice) {
    slice.in = operand();
    Shape out = slice.in.shape;
    slice.axis = between(1, 3);
    int& extent = slice.axis == 1 ? out.h : (slice.axis == 2 ? out.w : out.c);
    slice.begin = between(0, extent - 1);
    slice.step = between(1, 3);
    extent = between(1, (extent - 1 - slice.begin) / slice.step + 1);
    slice.out = place_result(out, slice.in.spec, {slice.in});
  }
  void make(PadInstr& pad) {
    pad.in = operand();
    Shape out = pad.in.shape;
    out.h += (pad.top = between(0, 2)) + between(0, 2);
    out.w += (pad.left = between(0, 2)) + between(0, 2);
    out.c += (pad.first_channel = chance(50) ? 0 : between(0, 3)) + (chance(50) ? 0 : between(0, 3));
    pad.fill = static_cast<std::int32_t>(code_of(pad.in.spec));
    pad.out = place_result(out, pad.in.spec, {pad.in});
  }
  void make(ReshapeInstr& reshape) {
    reshape.in = operand();
    const Shape in = reshape.in.shape;
    const Shape shapes[] = {{1, 1, 1, static_cast<int>(in.count())}, {1, in.w, in.c, in.h}, {1, in.c, in.h * in.w, 1}};
    reshape.out = place_result(shapes[between(0, 2)], reshape.in.spec, {reshape.in});
  }
  /// One axis of a pooling window, such that every window meets the input.
  int choose_window(int in, int& kernel, int& stride, int& pad) {
    kernel = chance(15) ? in : one_of({1, 2, 2, 3, 3, 5, 8});
    stride = between(1, 3);
    pad = chance(50) ? 0 : between(0, kernel - 1);
    return between(1, (in - 1 + pad) / stride + 1);
  }
  void make(MaxPoolInstr& pool) {
    pool.in = operand();
    Shape out = pool.in.shape;
    out.h = choose_window(out.h, pool.kernel_h, pool.stride_h, pool.pad_top);
    out.w = choose_window(out.w, pool.kernel_w, pool.stride_w, pool.pad_left);
    pool.out = place_result(out, pool.in.spec, {pool.in});
  }
  void make(AvgPoolInstr& pool) {
    pool.in = operand();
    Shape out = pool.in.shape;
    out.h = choose_window(out.h, pool.kernel_h, pool.stride_h, pool.pad_top);
    out.w = choose_window(out.w, pool.kernel_w, pool.stride_w, pool.pad_left);
    pool.pad_bottom = between(0, 3);
    pool.pad_right = between(0, 3);
    pool.count_include_pad = chance(50);
    pool.out = place_result(out, random_spec(), {pool.in});
    const std::int64_t window = std::int64_t{pool.kernel_h} * pool.kernel_w;
    pool.requant = requant(pool.out.spec, out.c, window * largest(pool.in.spec), window);
  }
  std::uint32_t taps(int count, int extent, int weight_bits) {
    std::vector<std::int32_t> lines;
    for (int i = 0; i < count; ++i) {
      const int first = between(0, extent - 1);
      const bool nearest = weight_bits == 0;
      lines.push_back(first);
      lines.push_back(nearest ? first : std::min(first + between(0, 1), extent - 1));
      lines.push_back(nearest ? 0 : between(0, 1 << weight_bits));
    }
    return constant_int32(lines);
  }
  void make(ResizeInstr& resize) {
    resize.in = operand();
    const Shape out{1, between(1, 2 * kind_.max_extent), between(1, 2 * kind_.max_extent), resize.in.shape.c};
    resize.weight_bits = chance(30) ? 0 : between(1, 11);
    resize.rows = taps(out.h, resize.in.shape.h, resize.weight_bits);
    resize.columns = taps(out.w, resize.in.shape.w, resize.weight_bits);
    resize.out = place_result(out, random_spec(), {resize.in});
    resize.requant = requant(resize.out.spec, out.c, largest(resize.in.spec) << (2 * resize.weight_bits));
  }
  void make(TableInstr& table) {
    table.in = operand();
    table.out = place_result(table.in.shape, random_spec(), {table.in});
    table.table = constant_codes(std::int64_t{1} << table.in.spec.bits, table.out.spec);
  }
  void make(SoftmaxInstr& softmax) {
    softmax.in = operand();
    const int complete = 1 << softmax.in.spec.bits;
    std::vector<std::int32_t> exponentials;
    softmax.count = chance(30) ? complete : between(1, std::min(complete, 3000));
    std::int64_t e = chance(20) ? INT32_MAX : between(1, 1 << 20);
    const int rate = between(1, 200);
    for (int i = 0; i < softmax.count; ++i) {
      exponentials.push_back(static_cast<std::int32_t>(e));
      e = e * (256 - rate) / 256;
    }
    if (softmax.count < complete && softmax.count > 1) exponentials.back() = 0;
    if (softmax.count == 1) {
      softmax.count = 2;
      exponentials.push_back(0);
    }
    softmax.exponentials = constant_int32(exponentials);
    softmax.out = place_result(softmax.in.shape, random_spec(), {softmax.in});
    const std::int64_t sum = std::int64_t{exponentials[0]} * softmax.in.shape.c;
    softmax.requant = requant(softmax.out.spec, softmax.in.shape.c, exponentials[0], sum);
    softmax.requant.slope_count = 0;
    softmax.requant.shift = -softmax.out.spec.frac;
  }

  template <std::size_t I = 0>
  Operation operation(std::size_t index) {
    if constexpr (I < std::variant_size_v<Operation>) {
      if (index != I) return operation<I + 1>(index);
      std::variant_alternative_t<I, Operation> instr;
      make(instr);
      return instr;
    }
    throw std::logic_error("no such operation");
  }

  void add_instruction(int index) {
    const std::string name = "t" + std::to_string(index);
    const std::size_t kinds = std::variant_size_v<Operation>;
    const std::size_t chosen = kind_.operation >= 0 ? static_cast<std::size_t>(kind_.operation) : random_.below(kinds);
    program_.code.push_back({name, operation(chosen)});
    auto* rescale = std::get_if<RescaleInstr>(&program_.code.back().operation);
    if (rescale != nullptr && chance(50)) widen(*rescale);
    const Region out = output_of(program_.code.back().operation);
    program_.tensors.push_back({name, out, static_cast<std::int32_t>(program_.code.size()) - 1});
    alive_.push_back(out);
  }

  /// Makes a rescaling the first of two that fill a wider tensor: a concatenation.
  void widen(RescaleInstr& first) {
    const int channels = first.in.shape.c;
    first.out.shape.c = 2 * channels;
    first.out = place(first.out.shape, first.out.spec);
    first.first_channel = chance(50) ? 0 : channels;
    RescaleInstr second = first;
    second.first_channel = channels - first.first_channel;
    second.requant = requant(second.out.spec, channels, largest(second.in.spec));
    const std::string name = program_.code.back().name;
    program_.code.push_back({name, second});
  }

  Random& random_;
  const ProgramKind kind_;
  Program program_;
  std::vector<Region> alive_;
  std::int64_t arena_ = 0;
  std::int64_t steepest_ = 0;
};

}  // namespace

Program random_program(Random& random, const ProgramKind& kind) {
  return Generator(random, kind).make();
}

std::vector<std::byte> random_codes(Random& random, const Region& region) {
  std::vector<std::byte> codes(static_cast<std::size_t>(bytes_of(region)));
  const QuantSpec spec = region.spec;
  const auto lo = static_cast<std::int32_t>(spec.min_code()), hi = static_cast<std::int32_t>(spec.max_code());
  const std::uint64_t style = random.below(8);
  for (std::int64_t i = 0; i < region.shape.count(); ++i) {
    const auto any = static_cast<std::int32_t>(
        lo + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(std::int64_t{hi} - lo + 1))));
    std::int32_t code = any;
    if (style == 0) code = lo;
    if (style == 1) code = hi;
    if (style == 2) code = random.below(2) == 0 ? lo : hi;
    if (style == 3) code = random.below(4) == 0 ? any : 0;
    store_code(codes.data(), i, spec, code);
  }
  return codes;
}

ProgramRun run_reference(const Program& program, const std::vector<std::byte>& in) {
  ProgramRun result;
  result.arena.assign(program.arena_bytes, std::byte{0xa5});
  result.out.resize(static_cast<std::size_t>(bytes_of(program.output)));
  run(program, in, result.out, result.arena, {.statistics = &result.statistics});
  return result;
}

}  // namespace binade::harness
