// libjpeg-turbo with an error manager that leaves by longjmp and counts the warnings that mean lost image data.
#include "datasets/jpeg.hpp"

#include <csetjmp>
#include <cstdio>

// The library's header wants <cstdio> before it.
#include <jerror.h>
#include <jpeglib.h>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

/// Cameras and editors leave a few bytes before a marker; a damaged scan leaves what it did not understand.
constexpr int kHarmlessBytes = 16;

/// The decoder's state; it begins with what the library knows, so that its callbacks find the rest.
struct Decoder {
  jpeg_error_mgr errors;
  jmp_buf leave;
  char reason[JMSG_LENGTH_MAX] = {};  ///< the first error or warning
};

Decoder& decoder_of(j_common_ptr library) {
  return *reinterpret_cast<Decoder*>(library->err);
}

[[noreturn]] void fail(j_common_ptr library) {
  Decoder& decoder = decoder_of(library);
  (*library->err->format_message)(library, decoder.reason);
  std::longjmp(decoder.leave, 1);  // NOLINT: the only way that the library has
}

/// Warnings about colours, versions and a few bytes too many change no pixel.
bool is_harmless(const jpeg_error_mgr& errors) {
  switch (errors.msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA: return true;
    case JWRN_EXTRANEOUS_DATA: return errors.msg_parm.i[0] <= kHarmlessBytes;
    default: return false;
  }
}

void warn(j_common_ptr library, int level) {
  if (level >= 0 || is_harmless(*library->err)) return;  // not negative: a trace
  fail(library);
}

/// The library leaves by longjmp, so nothing with a destructor is made between setjmp and the end. False: damaged.
bool read(jpeg_decompress_struct& jpeg, Decoder& decoder, std::span<const std::byte> file, bool is_gray,
          const PixelMemory& memory) {
  if (setjmp(decoder.leave) != 0) return false;  // NOLINT: the only way that the library has
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&jpeg, TRUE);
  if (jpeg.num_components == 4) {
    jpeg_read_coefficients(&jpeg);  // undoes the entropy coding, which is where damage shows
  } else {
    jpeg.out_color_space = is_gray ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_start_decompress(&jpeg);
    const int channels = is_gray ? 1 : 3;
    std::uint8_t* pixels = memory(static_cast<int>(jpeg.output_height), static_cast<int>(jpeg.output_width), channels);
    const std::size_t row_bytes = std::size_t{jpeg.output_width} * static_cast<std::size_t>(channels);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW row = pixels + row_bytes * jpeg.output_scanline;
      jpeg_read_scanlines(&jpeg, &row, 1);
    }
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

}  // namespace

bool decode_jpeg(std::span<const std::byte> file, bool is_gray, const PixelMemory& memory) {
  Decoder decoder = {};
  jpeg_decompress_struct jpeg = {};
  jpeg.err = jpeg_std_error(&decoder.errors);
  jpeg.err->error_exit = fail;
  jpeg.err->emit_message = warn;
  const bool whole = read(jpeg, decoder, file, is_gray, memory);
  const bool converted = jpeg.num_components != 4;
  jpeg_destroy_decompress(&jpeg);
  if (!whole) throw DataError(fmt::format("the JPEG's image data are damaged or cut off: {}", decoder.reason));
  return converted;
}

}  // namespace binade
