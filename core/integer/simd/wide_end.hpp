// Vectors of accumulators become stored codes: the folded form of WideFinish.
#pragma once

#include "core/integer/simd/wide_finish.hpp"

namespace binade::integer {
namespace {

/// What is the same for all rows of a tile need not be asked row by row: signed or unsigned codes to whole vectors of
/// words, or bytes; everything else is `general`.
enum class WideStyle { general, signed_words, unsigned_words, bytes };

template <class V>
struct WideEnd {
  using Reg = typename V::Reg;

  WideEnd(const WideFinish& finish, bool splits)
      : shift(_mm_cvtsi32_si128(finish.shift)),
        down(_mm_cvtsi32_si128(finish.shift - 16)),
        up(_mm_cvtsi32_si128(16 - finish.shift)),
        deep(finish.shift >= 16),
        words(finish.words),
        flips(!splits && finish.words && finish.zero != 0),
        adds(!splits && !finish.words) {
    const std::int32_t offset = adds ? 0 : finish.zero;
    lo = V::splat16(finish.lo + offset);
    hi = V::splat16(finish.hi + offset);
    zero = V::splat16(finish.zero);
    clamps = finish.lo + offset > -32768 || finish.hi + offset < 32767;
    const std::int64_t limit = std::int64_t{1} << (deep || finish.shift < 0 ? 31 : 15 + finish.shift);
    lowest = V::splat32(static_cast<std::int32_t>(-limit));
    highest = V::splat32(static_cast<std::int32_t>(limit - 1));
  }

  /// For blocks of `channels` channels in as many panels as given.
  WideStyle style(bool splits, int channels, int panels) const {
    if (channels != panels * V::kLanes || (splits && !deep)) return WideStyle::general;
    if (!words) return splits ? WideStyle::general : WideStyle::bytes;
    return flips ? WideStyle::unsigned_words : WideStyle::signed_words;
  }

  /// The code of a sum in one vector, and in two, split, and how a row is stored, in a style.
  template <WideStyle kStyle>
  __attribute__((always_inline)) Reg code(Reg acc, Reg high) const {
    return kStyle == WideStyle::general ? code(acc, high) : V::sra32(high, down);
  }
  template <WideStyle kStyle>
  __attribute__((always_inline)) void store(std::uint8_t* to, Reg a, Reg b, int count) const {
    if constexpr (kStyle == WideStyle::general) return store(to, a, b, count);
    if constexpr (kStyle == WideStyle::bytes) return V::store_bytes(to, styled<kStyle>(a, b), 2 * V::kLanes);
    V::store(to, styled<kStyle>(a, b));
  }
  template <WideStyle kStyle>
  __attribute__((always_inline)) void store(std::uint8_t* to, Reg a, int count) const {
    if constexpr (kStyle == WideStyle::general) return store(to, a, count);
    if constexpr (kStyle == WideStyle::bytes) {
      return V::store_bytes(to, V::lower_halves(styled<kStyle>(a, a)), V::kLanes);
    }
    V::store_words(to, V::lower_halves(styled<kStyle>(a, a)), V::kLanes);
  }

  /// Of a sum in one vector, and in two, split.
  __attribute__((always_inline)) Reg code(Reg acc) const { return V::sra32(acc, shift); }
  __attribute__((always_inline)) Reg code(Reg acc, Reg high) const {
    if (deep) return V::sra32(high, down);
    return V::either(V::sll32(V::clamp32(high, lowest, highest), up), V::srl32(acc, shift));
  }

  __attribute__((always_inline)) void store(std::uint8_t* to, Reg a, Reg b, int count) const {
    put(to, packed(a, b), count);
  }
  /// The codes of one panel.
  __attribute__((always_inline)) void store(std::uint8_t* to, Reg a, int count) const {
    put(to, V::lower_halves(packed(a, a)), count);
  }

 private:
  template <WideStyle kStyle>
  __attribute__((always_inline)) Reg styled(Reg a, Reg b) const {
    constexpr bool is_signed = kStyle != WideStyle::unsigned_words;
    if constexpr (kStyle == WideStyle::bytes) return V::add16(V::clamp16(V::pack_signed(a, b), lo, hi), zero);
    return V::clamp16(is_signed ? V::pack_signed(a, b) : V::flip(V::pack_unsigned(a, b), zero), lo, hi);
  }
  __attribute__((always_inline)) Reg packed(Reg a, Reg b) const {
    const Reg codes = flips ? V::flip(V::pack_unsigned(a, b), zero) : V::pack_signed(a, b);
    return clamps ? V::clamp16(codes, lo, hi) : codes;
  }
  __attribute__((always_inline)) void put(std::uint8_t* to, Reg codes, int count) const {
    words ? V::store_words(to, codes, count) : V::store_bytes(to, adds ? V::add16(codes, zero) : codes, count);
  }

  __m128i shift, down, up;
  Reg lo, hi, zero, lowest, highest;
  bool deep, words, flips, adds, clamps;
};

/// Values in memory are read again after it: constants that are needed once per tile must not take registers all
/// the time.
inline __attribute__((always_inline)) void forget_memory() {
  asm volatile("" : : : "memory");
}

}  // namespace
}  // namespace binade::integer
