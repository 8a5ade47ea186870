// Computes single accumulators from the formulas in program.hpp.
#include "core/integer/accumulator.hpp"

namespace binade {
namespace {

struct Place {
  int y, x, c;
};

class Reader {
 public:
  Reader(const Program& program, std::span<const std::byte> arena) : program_(program), arena_(arena) {}

  /// The code at a position; 0 outside the tensor.
  std::int64_t at(const Region& region, Place p) const {
    const Shape& s = region.shape;
    if (p.y < 0 || p.y >= s.h || p.x < 0 || p.x >= s.w) return 0;
    const std::byte* base = (region.constant ? program_.constants.data() : arena_.data()) + region.offset;
    return load_code(base, (std::int64_t{p.y} * s.w + p.x) * s.c + p.c, region.spec);
  }
  /// The code at a position; axes of extent 1 are broadcast.
  std::int64_t broadcast(const Region& region, Place p) const {
    const Shape& s = region.shape;
    return at(region, {s.h == 1 ? 0 : p.y, s.w == 1 ? 0 : p.x, s.c == 1 ? 0 : p.c});
  }
  std::int64_t constant(std::uint32_t offset, std::int64_t index, int bits) const {
    std::int64_t value = 0;
    const int bytes = bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
    const std::byte* from = program_.constants.data() + offset + index * bytes;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<std::int64_t>(from[i]);
    const std::int64_t sign = std::int64_t{1} << (8 * bytes - 1);
    return (value ^ sign) - sign;
  }

 private:
  const Program& program_;
  std::span<const std::byte> arena_;
};

/// The input row (or column) that tap i of output position `out` reads; -1 if none.
int source(bool transposed, int out, int i, int stride, int pad, int dilation) {
  if (!transposed) return out * stride - pad + i * dilation;
  const int reach = out + pad - i * dilation;
  return reach >= 0 && reach % stride == 0 ? reach / stride : -1;
}

std::int64_t accumulator(const ConvInstr& conv, const Reader& read, Place p) {
  const int per_group = conv.in.shape.c / conv.groups, first = p.c / (conv.out.shape.c / conv.groups) * per_group;
  std::int64_t acc = read.constant(conv.bias, p.c, 32) << conv.bias_shift;
  for (int i = 0; i < conv.kernel_h; ++i) {
    const int y = source(conv.transposed, p.y, i, conv.stride_h, conv.pad_top, conv.dilation_h);
    for (int j = 0; j < conv.kernel_w; ++j) {
      const int x = source(conv.transposed, p.x, j, conv.stride_w, conv.pad_left, conv.dilation_w);
      const std::int64_t tap = ((std::int64_t{p.c} * conv.kernel_h + i) * conv.kernel_w + j) * per_group;
      for (int k = 0; k < per_group; ++k) {
        acc += read.at(conv.in, {y, x, first + k}) * read.constant(conv.weights, tap + k, conv.weight_bits);
      }
    }
  }
  return acc;
}

}  // namespace

std::optional<std::int64_t> accumulator_at(const Program& program, int instruction, std::span<const std::byte> arena,
                                           std::int64_t index) {
  const Reader read(program, arena);
  const Operation& operation = program.code[static_cast<std::size_t>(instruction)].operation;
  const Shape& shape = output_of(operation).shape;
  const Place p{static_cast<int>(index / shape.c / shape.w), static_cast<int>(index / shape.c % shape.w),
                static_cast<int>(index % shape.c)};
  if (const auto* conv = std::get_if<ConvInstr>(&operation)) return accumulator(*conv, read, p);
  if (const auto* add = std::get_if<AddInstr>(&operation)) {
    return (read.broadcast(add->a, p) << add->shift_a) + (read.broadcast(add->b, p) << add->shift_b);
  }
  if (const auto* mul = std::get_if<MulInstr>(&operation)) return read.broadcast(mul->a, p) * read.broadcast(mul->b, p);
  if (const auto* rescale = std::get_if<RescaleInstr>(&operation)) {
    const int c = p.c - rescale->first_channel;
    if (c >= 0 && c < rescale->in.shape.c) return read.at(rescale->in, {p.y, p.x, c});
  }
  return std::nullopt;
}

int shift_of(const Operation& operation) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.requant; }) return static_cast<int>(o.requant.shift);
        return 0;
      },
      operation);
}

}  // namespace binade
