// Additions of words in vectors: interleaved, a product of pairs with the two factors is the sum.
#pragma once

#include "core/integer/simd/wide_end.hpp"
#include "core/integer/simd/wide_rows.hpp"

namespace binade::integer {
namespace {

/// Words from words, with factors that are words.
inline bool adds_in_vectors(const WidePair& p) {
  return p.narrow && !p.product && p.a.words && p.b.words && p.finish.words && p.shift_a <= 14 && p.shift_b <= 14 &&
         (p.finish.shift == 0 || p.finish.round != Round::half_even);
}

template <class V>
inline void wide_pair(const WidePair& p) {
  if (!adds_in_vectors(p)) return pair(p);
  using Reg = typename V::Reg;
  constexpr int kCodes = 2 * V::kLanes;
  const WideEnd<V> end(p.finish, false);
  const std::uint32_t half = p.finish.shift == 0 ? 0 : 1U << (p.finish.shift - 1);
  const std::uint32_t surplus =
      (static_cast<std::uint32_t>(p.a.zero) << p.shift_a) + (static_cast<std::uint32_t>(p.b.zero) << p.shift_b);
  const Reg start = V::splat32(static_cast<std::int32_t>(half - surplus));
  const Reg factors = V::splat32((1 << p.shift_a) | (1 << p.shift_b) << 16);
  const bool away = p.finish.round == Round::half_away && p.finish.shift > 0;
  const Reg halves = V::splat32(static_cast<std::int32_t>(half));
  std::int64_t i = 0;
  for (; i + kCodes <= p.count; i += kCodes) {
    const Reg a = V::load(p.a.data + 2 * i), b = V::load(p.b.data + 2 * i);
    Reg low = start, high = start;
    V::add_dot(low, V::low16(a, b), factors);
    V::add_dot(high, V::high16(a, b), factors);
    if (away) {  // one less below zero
      low = V::add32(low, V::sign32(V::sub32(low, halves)));
      high = V::add32(high, V::sign32(V::sub32(high, halves)));
    }
    end.store(p.out + 2 * i, end.code(low), end.code(high), kCodes);
  }
  if (i == p.count) return;
  WidePair rest = p;
  rest.a.data += 2 * i;
  rest.b.data += 2 * i;
  rest.out += 2 * i;
  rest.count -= i;
  pair(rest);
}

}  // namespace
}  // namespace binade::integer
