// Converts between the layout of regions and the layout of the engine.
#include "core/integer/engine/tensor.hpp"

#include <cstring>

namespace binade::integer {
namespace {

/// Both layouts differ in the pitch and, for signed bytes, in the top bit.
void copy_pixels(const EngineTensor& tensor, const std::byte* from, int from_pitch, std::byte* to, int to_pitch) {
  const auto flip = static_cast<std::byte>(tensor.stored_zero() != 0 ? 0x80 : 0);
  const std::int64_t first = tensor.is_bytes() ? 0 : 1, step = code_bytes(tensor.spec);  // the codes' top bytes
  const int row = tensor.shape.c * code_bytes(tensor.spec);
  const bool dense = from_pitch == row && to_pitch == row;
  const std::int64_t pixels = dense ? 1 : tensor.shape.pixels();
  const std::int64_t bytes = dense ? tensor.shape.pixels() * row : row;
  for (std::int64_t p = 0; p < pixels; ++p) {
    const std::byte* source = from + p * from_pitch;
    std::byte* target = to + p * to_pitch;
    if (flip == std::byte{0} || step == 2) std::memcpy(target, source, static_cast<std::size_t>(bytes));
    if (flip == std::byte{0}) continue;
    for (std::int64_t i = first; i < bytes; i += step) target[i] = source[i] ^ flip;
  }
}

}  // namespace

void fill_zero(const EngineTensor& tensor, std::uint8_t* row, std::size_t bytes) {
  const int zero = tensor.stored_zero();
  for (std::size_t i = 0; i < bytes; ++i) {
    row[i] = static_cast<std::uint8_t>(tensor.is_bytes() || i % 2 == 0 ? zero : zero >> 8);
  }
}

void import_codes(const EngineTensor& tensor, const std::byte* codes, std::byte* data) {
  copy_pixels(tensor, codes, tensor.shape.c * code_bytes(tensor.spec), data, tensor.pitch);
}

void export_codes(const EngineTensor& tensor, const std::byte* data, std::byte* codes) {
  copy_pixels(tensor, data, tensor.pitch, codes, tensor.shape.c * code_bytes(tensor.spec));
}

}  // namespace binade::integer
