// How the engine stores a tensor: bytes with a zero point, pixels on a pitch that suits vectors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/integer/program.hpp"
#include "core/integer/simd/kernels.hpp"

namespace binade::integer {

template <class T>
constexpr T round_up(T value, int to) {
  return (value + to - 1) / to * to;
}
template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

/// Up to 8 bits: a byte per code, xor 0x80 when signed. Above: an int16 word per code, xor 0x8000 when unsigned. NHWC
/// on a pitch.
struct EngineTensor {
  Shape shape;
  QuantSpec spec;
  int pitch = 0;            ///< bytes per pixel
  bool constant = false;    ///< offset is into the engine's constants
  std::size_t offset = 0;   ///< into the arena
  int first = 0, last = 0;  ///< steps that write it first and read it last

  bool is_bytes() const { return spec.bits <= 8; }
  /// The byte of code 0; what is stored for code 0, byte or word.
  std::uint8_t zero() const { return spec.is_signed ? 128 : 0; }
  int stored_zero() const { return is_bytes() ? zero() : (spec.is_signed ? 0 : -32768); }
  std::size_t bytes() const { return static_cast<std::size_t>(shape.pixels()) * static_cast<std::size_t>(pitch); }
};

/// Fills a row of codes, `bytes` long, with what is stored for code 0.
void fill_zero(const EngineTensor& tensor, std::uint8_t* row, std::size_t bytes);

/// Copies a tensor from the layout of regions to the engine's, and back.
void import_codes(const EngineTensor& tensor, const std::byte* codes, std::byte* data);
void export_codes(const EngineTensor& tensor, const std::byte* data, std::byte* codes);

}  // namespace binade::integer
