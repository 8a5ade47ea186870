// Between the layout of regions and that of the engine.
#include "core/integer/engine/tensor.hpp"

#include <cstring>

namespace binade::integer {
namespace {

/// Both layouts differ in the pitch and, for signed bytes, in the top bit.
void copy_pixels(const EngineTensor& tensor, const std::byte* from, int from_pitch, std::byte* to, int to_pitch) {
  const auto flip = static_cast<std::byte>(tensor.is_bytes() ? tensor.zero() : 0);
  const int row = tensor.shape.c * code_bytes(tensor.spec);
  const bool dense = from_pitch == row && to_pitch == row;
  const std::int64_t pixels = dense ? 1 : tensor.shape.pixels();
  const std::int64_t bytes = dense ? tensor.shape.pixels() * row : row;
  for (std::int64_t p = 0; p < pixels; ++p) {
    const std::byte* source = from + p * from_pitch;
    std::byte* target = to + p * to_pitch;
    if (flip == std::byte{0}) {
      std::memcpy(target, source, static_cast<std::size_t>(bytes));
    } else {
      for (std::int64_t i = 0; i < bytes; ++i) target[i] = source[i] ^ flip;
    }
  }
}

}  // namespace

void import_codes(const EngineTensor& tensor, const std::byte* codes, std::byte* data) {
  copy_pixels(tensor, codes, tensor.shape.c * code_bytes(tensor.spec), data, tensor.pitch);
}

void export_codes(const EngineTensor& tensor, const std::byte* data, std::byte* codes) {
  copy_pixels(tensor, data, tensor.pitch, codes, tensor.shape.c * code_bytes(tensor.spec));
}

}  // namespace binade::integer
