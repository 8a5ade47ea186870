// The numbers of a PNG file as they are stored: OpenCV would turn a palette's indices into colours.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "datasets/image_header.hpp"
#include "datasets/label_map.hpp"

namespace binade {
namespace {

/// What libpng reads from and reports to.
struct Reader {
  std::span<const std::byte> file;
  std::size_t position = 0;
  char reason[128] = {};
};

void read_bytes(png_structp png, png_bytep to, png_size_t count) {
  auto& reader = *static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader.file.size() - reader.position) png_error(png, "the file is cut off");
  std::memcpy(to, reader.file.data() + reader.position, count);
  reader.position += count;
}

[[noreturn]] void fail(png_structp png, png_const_charp message) {
  auto& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  std::strncpy(reader.reason, message, sizeof(reader.reason) - 1);
  png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

/// libpng leaves by longjmp, so nothing with a destructor is made between setjmp and the end.
bool read(png_structp png, png_infop info, Reader& reader, Pixels& map) {
  // NOLINTNEXTLINE: the only way that libpng has
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_read_fn(png, &reader, read_bytes);
  png_read_info(png, info);
  const png_uint_32 width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  const int color = png_get_color_type(png, info), bits = png_get_bit_depth(png, info);
  if (color != PNG_COLOR_TYPE_PALETTE && color != PNG_COLOR_TYPE_GRAY) {
    png_error(png, "a label map has one number per pixel, not colours");
  }
  if (bits > 8) png_error(png, "a label map has 8 bits per pixel, not 16");
  if (std::int64_t{width} * height > kMostImagePixels) png_error(png, "the label map is too large");
  png_set_packing(png);  // 1, 2 and 4 bits: a byte each, values unchanged
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  map.resize({1, static_cast<int>(height), static_cast<int>(width), 1});
  for (int pass = 0; pass < passes; ++pass) {
    for (png_uint_32 y = 0; y < height; ++y) {
      png_read_row(png, map.data() + static_cast<std::size_t>(y) * width, nullptr);
    }
  }
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

Pixels decode_label_map(std::span<const std::byte> file) {
  if (const std::string damage = find_damage(file); !damage.empty()) throw DataError(damage);
  if (file.size() < 8 || png_sig_cmp(reinterpret_cast<const png_byte*>(file.data()), 0, 8) != 0) {
    throw DataError("a label map is a PNG file; a lossy format would blur its classes");
  }
  Reader reader{.file = file};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, fail, ignore);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  require(info != nullptr, "libpng cannot be used");
  Pixels map;
  const bool done = read(png, info, reader, map);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!done) throw DataError(fmt::format("not a label map that can be read: {}", reader.reason));
  return map;
}

}  // namespace binade
