// The naive integer machine: one code at a time, in 128 bits.
#include "tests/reference/integer_reference.hpp"

#include <stdexcept>

namespace binade::reference {
namespace {

__extension__ using Wide = __int128;

Wide power(int exponent) {
  Wide p = 1;
  for (int i = 0; i < exponent; ++i) p *= 2;
  return p;
}

Wide floor_of(Wide n, Wide d) {
  Wide q = n / d;
  while (q * d > n) --q;
  while ((q + 1) * d <= n) ++q;
  return q;
}

/// n / d, d > 0, to the nearest; a tie up, away from zero, or to the even one.
Wide nearest(Wide n, Wide d, Rounding rounding) {
  const Wide below = floor_of(n, d), above = below * d == n ? below : below + 1;
  const Wide to_below = n - below * d, to_above = above * d - n;
  if (to_below < to_above) return below;
  if (to_above < to_below) return above;
  switch (rounding) {
    case Rounding::half_up: return above;
    case Rounding::half_away: return n < 0 ? below : above;
    case Rounding::half_even: return below % 2 == 0 ? below : above;
  }
  throw std::logic_error("no such rounding");
}

/// Memory that knows its bounds.
class Machine {
 public:
  Machine(const Program& program, std::span<std::byte> arena) : program_(program), arena_(arena) {}

  Wide at(const Region& r, std::int64_t y, std::int64_t x, std::int64_t c) const {
    const auto memory =
        r.constant ? std::span<const std::byte>(program_.constants) : std::span<const std::byte>(arena_);
    return code(memory, r.offset, (y * r.shape.w + x) * r.shape.c + c, r.spec.bits, r.spec.is_signed);
  }
  Wide int32(std::int64_t offset, std::int64_t index) const {
    std::uint32_t bits = 0;
    for (int i = 3; i >= 0; --i) bits = bits * 256 + byte(program_.constants, offset + 4 * index + i);
    return bits >= 0x80000000U ? Wide{bits} - power(32) : Wide{bits};
  }
  Wide constant_code(std::int64_t offset, std::int64_t index, int bits, bool is_signed) const {
    return code(program_.constants, offset, index, bits, is_signed);
  }
  void put(const Region& r, std::int64_t y, std::int64_t x, std::int64_t c, Wide value) const {
    const std::int64_t size = r.spec.bits > 8 ? 2 : 1;
    const auto at = static_cast<std::size_t>(r.offset + ((y * r.shape.w + x) * r.shape.c + c) * size);
    if (at + static_cast<std::size_t>(size) > arena_.size()) throw std::out_of_range("write outside the arena");
    arena_[at] = static_cast<std::byte>(static_cast<std::uint64_t>(value) % 256);
    if (size == 2) arena_[at + 1] = static_cast<std::byte>(static_cast<std::uint64_t>(value) / 256 % 256);
  }

  /// The code of v * slope / divisor at an output of `spec`, counted.
  Wide requant(const Requant& how, QuantSpec spec, Wide acc, std::int64_t channel, Wide divisor = 1) {
    Wide v = acc;
    if (how.slope_count > 0) {
      v = acc >= 0 ? acc * power(how.slope_frac) : acc * int32(how.slopes, how.slope_count == 1 ? 0 : channel);
    }
    const Wide rounded = how.shift >= 0 ? nearest(v, divisor * power(how.shift), how.rounding)
                                        : nearest(v * power(-how.shift), divisor, how.rounding);
    const Wide magnitude = acc < 0 ? -acc : acc, limit = power(program_.accumulator_bits - 1);
    if (magnitude > statistics.worst_acc) statistics.worst_acc = static_cast<std::int64_t>(magnitude);
    if (acc >= limit || acc < -limit) ++statistics.acc_beyond;
    const Wide most = power(spec.is_signed ? spec.bits - 1 : spec.bits) - 1, least = -power(spec.bits - 1);
    if (rounded > most && how.hi == most) ++statistics.saturated;
    if (spec.is_signed && rounded < least && how.lo == least) ++statistics.saturated;
    ++statistics.codes;
    return rounded > how.hi ? how.hi : rounded < how.lo ? how.lo : rounded;
  }

  InstructionStatistics statistics;

 private:
  static unsigned byte(std::span<const std::byte> memory, std::int64_t at) {
    if (at < 0 || at >= static_cast<std::int64_t>(memory.size())) throw std::out_of_range("read outside the memory");
    return static_cast<unsigned>(memory[static_cast<std::size_t>(at)]);
  }
  static Wide code(std::span<const std::byte> memory, std::int64_t offset, std::int64_t index, int bits,
                   bool is_signed) {
    const int size = bits > 8 ? 2 : 1;
    Wide value = byte(memory, offset + index * size);
    if (size == 2) value += 256 * Wide{byte(memory, offset + index * size + 1)};
    return is_signed && value >= power(8 * size - 1) ? value - power(8 * size) : value;
  }

  const Program& program_;
  std::span<std::byte> arena_;
};

template <class F>
void for_each(const Shape& s, const F& f) {
  for (std::int64_t y = 0; y < s.h; ++y) {
    for (std::int64_t x = 0; x < s.w; ++x) {
      for (std::int64_t c = 0; c < s.c; ++c) f(y, x, c);
    }
  }
}

/// Every product scattered from its weight: forward and transposed differ only in who is where.
void execute(const ConvInstr& conv, Machine& m) {
  const Shape &in = conv.in.shape, &out = conv.out.shape;
  std::vector<Wide> acc;
  for_each(out, [&](auto, auto, auto o) { acc.push_back(m.int32(conv.bias, o) * power(conv.bias_shift)); });
  const std::int64_t per_group = in.c / conv.groups, out_per_group = out.c / conv.groups;
  const Shape& strided = conv.transposed ? in : out;  // whose pixels are a stride apart in the other
  const Shape& dense = conv.transposed ? out : in;
  for (std::int64_t o = 0; o < out.c; ++o) {
    for_each({1, conv.kernel_h, conv.kernel_w, static_cast<int>(per_group)}, [&](auto i, auto j, auto k) {
      const Wide w = m.constant_code(conv.weights, ((o * conv.kernel_h + i) * conv.kernel_w + j) * per_group + k,
                                     conv.weight_bits, true);
      for_each({1, strided.h, strided.w, 1}, [&](auto y, auto x, auto) {
        const std::int64_t row = y * conv.stride_h - conv.pad_top + i * conv.dilation_h;
        const std::int64_t column = x * conv.stride_w - conv.pad_left + j * conv.dilation_w;
        if (row < 0 || row >= dense.h || column < 0 || column >= dense.w) return;
        const std::int64_t c = o / out_per_group * per_group + k;
        const auto at = conv.transposed ? (row * out.w + column) * out.c + o : (y * out.w + x) * out.c + o;
        acc[static_cast<std::size_t>(at)] +=
            w * (conv.transposed ? m.at(conv.in, y, x, c) : m.at(conv.in, row, column, c));
      });
    });
  }
  std::size_t next = 0;
  for_each(out, [&](auto y, auto x, auto o) {
    m.put(conv.out, y, x, o, m.requant(conv.requant, conv.out.spec, acc[next++], o));
  });
}

Wide broadcast(const Machine& m, const Region& r, std::int64_t y, std::int64_t x, std::int64_t c) {
  return m.at(r, r.shape.h == 1 ? 0 : y, r.shape.w == 1 ? 0 : x, r.shape.c == 1 ? 0 : c);
}

void execute(const AddInstr& i, Machine& m) {
  for_each(i.out.shape, [&](auto y, auto x, auto c) {
    const Wide acc = broadcast(m, i.a, y, x, c) * power(i.shift_a) + broadcast(m, i.b, y, x, c) * power(i.shift_b);
    m.put(i.out, y, x, c, m.requant(i.requant, i.out.spec, acc, c));
  });
}

void execute(const MulInstr& i, Machine& m) {
  for_each(i.out.shape, [&](auto y, auto x, auto c) {
    const Wide acc = broadcast(m, i.a, y, x, c) * broadcast(m, i.b, y, x, c);
    m.put(i.out, y, x, c, m.requant(i.requant, i.out.spec, acc, c));
  });
}

void execute(const RescaleInstr& i, Machine& m) {
  for_each(i.in.shape, [&](auto y, auto x, auto c) {
    m.put(i.out, y, x, c + i.first_channel, m.requant(i.requant, i.out.spec, m.at(i.in, y, x, c), c));
  });
}

void execute(const SliceInstr& i, Machine& m) {
  for_each(i.out.shape, [&](std::int64_t y, std::int64_t x, std::int64_t c) {
    std::int64_t from[] = {y, x, c};
    from[i.axis - 1] = i.begin + from[i.axis - 1] * i.step;
    m.put(i.out, y, x, c, m.at(i.in, from[0], from[1], from[2]));
    ++m.statistics.codes;
  });
}

void execute(const PadInstr& i, Machine& m) {
  const Shape& in = i.in.shape;
  for_each(i.out.shape, [&](std::int64_t y, std::int64_t x, std::int64_t c) {
    const std::int64_t a = y - i.top, b = x - i.left, k = c - i.first_channel;
    const bool inside = a >= 0 && a < in.h && b >= 0 && b < in.w && k >= 0 && k < in.c;
    m.put(i.out, y, x, c, inside ? m.at(i.in, a, b, k) : Wide{i.fill});
    ++m.statistics.codes;
  });
}

void execute(const ReshapeInstr& i, Machine& m) {
  const Shape& in = i.in.shape;
  std::int64_t n = 0;
  for_each(i.out.shape, [&](auto y, auto x, auto c) {
    m.put(i.out, y, x, c, m.at(i.in, n / in.c / in.w, n / in.c % in.w, n % in.c));
    ++n;
    ++m.statistics.codes;
  });
}

void execute(const MaxPoolInstr& p, Machine& m) {
  const Shape& in = p.in.shape;
  for_each(p.out.shape, [&](auto y, auto x, auto c) {
    Wide most = -100000;
    for_each({1, p.kernel_h, p.kernel_w, 1}, [&](auto i, auto j, auto) {
      const std::int64_t a = y * p.stride_h - p.pad_top + i, b = x * p.stride_w - p.pad_left + j;
      if (a >= 0 && a < in.h && b >= 0 && b < in.w && m.at(p.in, a, b, c) > most) most = m.at(p.in, a, b, c);
    });
    m.put(p.out, y, x, c, most);
    ++m.statistics.codes;
  });
}

void execute(const AvgPoolInstr& p, Machine& m) {
  const Shape& in = p.in.shape;
  for_each(p.out.shape, [&](auto y, auto x, auto c) {
    Wide sum = 0, inside = 0, padded = 0;
    for_each({1, p.kernel_h, p.kernel_w, 1}, [&](auto i, auto j, auto) {
      const std::int64_t a = y * p.stride_h - p.pad_top + i, b = x * p.stride_w - p.pad_left + j;
      if (a >= -p.pad_top && a < in.h + p.pad_bottom && b >= -p.pad_left && b < in.w + p.pad_right) ++padded;
      if (a < 0 || a >= in.h || b < 0 || b >= in.w) return;
      ++inside;
      sum += m.at(p.in, a, b, c);
    });
    m.put(p.out, y, x, c, m.requant(p.requant, p.out.spec, sum, c, p.count_include_pad ? padded : inside));
  });
}

void execute(const ResizeInstr& r, Machine& m) {
  const auto read = [&](std::uint32_t table, std::int64_t line, bool second, std::int64_t& at) {
    const Wide weight = m.int32(table, 3 * line + 2);
    at = static_cast<std::int64_t>(m.int32(table, 3 * line + (second ? 1 : 0)));
    return second ? weight : power(r.weight_bits) - weight;
  };
  for_each(r.out.shape, [&](auto y, auto x, auto c) {
    Wide acc = 0;
    for (const bool below : {false, true}) {
      for (const bool right : {false, true}) {
        std::int64_t row = 0, column = 0;
        const Wide weight = read(r.rows, y, below, row) * read(r.columns, x, right, column);
        acc += weight * m.at(r.in, row, column, c);
      }
    }
    m.put(r.out, y, x, c, m.requant(r.requant, r.out.spec, acc, c));
  });
}

void execute(const TableInstr& t, Machine& m) {
  const Wide first = t.in.spec.is_signed ? -power(t.in.spec.bits - 1) : 0;
  for_each(t.out.shape, [&](auto y, auto x, auto c) {
    const auto entry = static_cast<std::int64_t>(m.at(t.in, y, x, c) - first);
    m.put(t.out, y, x, c, m.constant_code(t.table, entry, t.out.spec.bits, t.out.spec.is_signed));
    ++m.statistics.codes;
  });
}

void execute(const SoftmaxInstr& s, Machine& m) {
  for_each(s.out.shape, [&](auto y, auto x, auto c) {
    Wide most = -100000, sum = 0, mine = 0;
    for (int k = 0; k < s.in.shape.c; ++k) {
      if (m.at(s.in, y, x, k) > most) most = m.at(s.in, y, x, k);
    }
    for (int k = 0; k < s.in.shape.c; ++k) {
      const Wide behind = most - m.at(s.in, y, x, k);
      const Wide e = m.int32(s.exponentials, static_cast<std::int64_t>(behind < s.count - 1 ? behind : s.count - 1));
      sum += e;
      if (k == c) mine = e;
    }
    m.put(s.out, y, x, c, m.requant(s.requant, s.out.spec, mine, c, sum));
  });
}

}  // namespace

InstructionStatistics run_instruction(const Program& program, std::size_t index, std::span<std::byte> arena) {
  Machine machine(program, arena);
  std::visit([&](const auto& operation) { execute(operation, machine); }, program.code[index].operation);
  return machine.statistics;
}

}  // namespace binade::reference
