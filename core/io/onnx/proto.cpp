// Parsing of ONNX protobuf files and decoding of their tensors; every size is checked against the bytes at hand.
#include "core/io/onnx/proto.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade::importer {
namespace {

constexpr std::int64_t kFirstOpset = 7, kLastOpset = 24;

/// What a file that is not ONNX probably is: the usual mistakes, by their first bytes.
std::string_view other_format(std::string_view head) {
  if (head.empty()) return "the file is empty";
  if (head.starts_with("version https://git-lfs")) return "it is a Git LFS pointer: run `git lfs pull`";
  if (head.starts_with("\x89HDF\r\n")) return "it is an HDF5 file: name it .h5";
  if (head.starts_with("PK\x03\x04")) return "it is a zip archive (PyTorch .pt?): export it with torch.onnx.export";
  if (head.substr(0, 64).find("TFL3") != std::string_view::npos) return "it is a TensorFlow Lite file";
  if (head.starts_with("<")) return "it is an HTML or XML page: the download went wrong";
  return "it is damaged, cut off, or another format";
}

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const float magnitude = exponent == 31  ? (mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                                                           : std::numeric_limits<float>::infinity())
                          : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                          : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Elements of raw little-endian data, each stored as an S, converted to an R.
template <class S, class R, class Convert>
std::vector<R> from_raw(const std::string& raw, Convert convert) {
  std::vector<R> values(raw.size() / sizeof(S));
  for (std::size_t i = 0; i < values.size(); ++i) {
    S stored;
    std::memcpy(&stored, raw.data() + i * sizeof(S), sizeof(S));
    values[i] = static_cast<R>(convert(stored));
  }
  return values;
}

template <class R, class Repeated, class Convert>
std::vector<R> from_field(const Repeated& field, Convert convert) {
  std::vector<R> values;
  values.reserve(static_cast<std::size_t>(field.size()));
  for (const auto stored : field) values.push_back(static_cast<R>(convert(stored)));
  return values;
}

struct Decoder {
  const ::onnx::TensorProto& tensor;
  std::int64_t count;

  /// Checks that the data has `count` elements, then converts it from wherever it is.
  template <class S, class R, class Field, class Convert>
  std::vector<R> operator()(const Field& field, Convert convert) const {
    const bool raw = tensor.has_raw_data();
    const auto held =
        static_cast<std::int64_t>(raw ? tensor.raw_data().size() : static_cast<std::size_t>(field.size()));
    const std::int64_t wanted = raw ? count * static_cast<std::int64_t>(sizeof(S)) : count;
    if (held != wanted) {
      throw DataError(fmt::format("tensor '{}' holds {} {}, its extents {} want {}; the file is damaged or cut off",
                                  tensor.name(), held, raw ? "bytes" : "elements",
                                  to_string(Dims(tensor.dims().begin(), tensor.dims().end())), wanted));
    }
    return raw ? from_raw<S, R>(tensor.raw_data(), convert) : from_field<R>(field, convert);
  }
};

}  // namespace

std::int64_t element_count(const ::onnx::TensorProto& tensor) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  std::int64_t count = 1;
  bool empty = false, absurd = false;
  for (const std::int64_t extent : tensor.dims()) {
    absurd = absurd || extent < 0 || extent > limit;
    empty = empty || extent == 0;
    if (!absurd && extent > 0) absurd = count > limit / extent;
    if (!absurd && extent > 0) count *= extent;
  }
  if (absurd) {
    throw DataError(fmt::format("tensor '{}' claims the extents {}; the file is damaged", tensor.name(),
                                to_string(Dims(tensor.dims().begin(), tensor.dims().end()))));
  }
  return empty ? 0 : count;
}

int element_bytes(int data_type) {
  using Type = ::onnx::TensorProto;
  switch (data_type) {
    case Type::INT8:
    case Type::UINT8:
    case Type::BOOL: return 1;
    case Type::FLOAT16:
    case Type::BFLOAT16:
    case Type::INT16:
    case Type::UINT16: return 2;
    case Type::FLOAT:
    case Type::INT32:
    case Type::UINT32: return 4;
    case Type::DOUBLE:
    case Type::INT64:
    case Type::UINT64: return 8;
    default: return 0;
  }
}

std::string type_name(int data_type) {
  static constexpr const char* kNames[] = {"undefined", "float32", "uint8",     "int8",       "uint16",  "int16",
                                           "int32",     "int64",   "string",    "bool",       "float16", "float64",
                                           "uint32",    "uint64",  "complex64", "complex128", "bfloat16"};
  if (data_type >= 0 && data_type < static_cast<int>(std::size(kNames))) return kNames[data_type];
  return fmt::format("type {}", data_type);
}

::onnx::ModelProto parse_model(std::span<const std::byte> bytes, const std::string& origin) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 256));
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw DataError(fmt::format("'{}' has {} bytes; an ONNX file may have 2 GiB", origin, bytes.size()));
  }
  ::onnx::ModelProto model;
  if (bytes.empty() || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw DataError(fmt::format("'{}' ({} bytes) is not an ONNX model: {}", origin, bytes.size(), other_format(head)));
  }
  if (!model.has_graph() || model.graph().node_size() == 0) {
    throw DataError(fmt::format("'{}' ({} bytes) holds no network: {}", origin, bytes.size(),
                                model.has_graph() ? "its graph has no nodes" : "it is cut off, or another format"));
  }
  return model;
}

int standard_opset(const ::onnx::ModelProto& model, const std::string& origin) {
  std::int64_t version = 0;
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") version = opset.version();
  }
  if (version == 0 && model.ir_version() < 3) version = 1;  // opset_import came with IR version 3
  if (version == 0) {
    throw DataError(
        fmt::format("'{}' does not say which opset of the standard operators it uses (opset_import)", origin));
  }
  if (version < kFirstOpset || version > kLastOpset) {
    throw DataError(
        fmt::format("'{}' uses opset {}; Binade reads {} to {}. Export it again, e.g. "
                    "torch.onnx.export(..., opset_version=17), or convert it with onnx.version_converter",
                    origin, version, kFirstOpset, kLastOpset));
  }
  return static_cast<int>(version);
}

Constant decode_tensor(const ::onnx::TensorProto& tensor) {
  using Type = ::onnx::TensorProto;
  if (tensor.data_location() == Type::EXTERNAL || tensor.external_data_size() > 0) {
    throw DataError(
        fmt::format("tensor '{}' is kept outside the file, and there is no folder to look into; save the model in one "
                    "piece: onnx.save(onnx.load(path), path, save_as_external_data=False)",
                    tensor.name()));
  }
  if (tensor.has_segment()) throw DataError(fmt::format("tensor '{}' is stored in segments", tensor.name()));
  const Decoder decode{tensor, element_count(tensor)};
  const auto same = [](auto v) { return v; };
  const auto half = [](auto v) { return half_to_float(static_cast<std::uint16_t>(v)); };
  const auto bfloat = [](auto v) { return bfloat_to_float(static_cast<std::uint16_t>(v)); };
  Constant constant{.dims = Dims(tensor.dims().begin(), tensor.dims().end()), .data = {}};
  switch (tensor.data_type()) {
    case Type::FLOAT: constant.data = decode.operator()<float, float>(tensor.float_data(), same); break;
    case Type::DOUBLE: constant.data = decode.operator()<double, float>(tensor.double_data(), same); break;
    case Type::FLOAT16: constant.data = decode.operator()<std::uint16_t, float>(tensor.int32_data(), half); break;
    case Type::BFLOAT16: constant.data = decode.operator()<std::uint16_t, float>(tensor.int32_data(), bfloat); break;
    case Type::INT64: constant.data = decode.operator()<std::int64_t, std::int64_t>(tensor.int64_data(), same); break;
    case Type::INT32: constant.data = decode.operator()<std::int32_t, std::int64_t>(tensor.int32_data(), same); break;
    case Type::INT16: constant.data = decode.operator()<std::int16_t, std::int64_t>(tensor.int32_data(), same); break;
    case Type::UINT16: constant.data = decode.operator()<std::uint16_t, std::int64_t>(tensor.int32_data(), same); break;
    case Type::INT8: constant.data = decode.operator()<std::int8_t, std::int64_t>(tensor.int32_data(), same); break;
    case Type::UINT8:
    case Type::BOOL: constant.data = decode.operator()<std::uint8_t, std::int64_t>(tensor.int32_data(), same); break;
    case Type::UINT32:
      constant.data = decode.operator()<std::uint32_t, std::int64_t>(tensor.uint64_data(), same);
      break;
    case Type::UINT64:
      constant.data = decode.operator()<std::uint64_t, std::int64_t>(tensor.uint64_data(), same);
      break;
    default:
      throw DataError(fmt::format("tensor '{}' has elements of {}; want a float, integer or bool type", tensor.name(),
                                  type_name(tensor.data_type())));
  }
  return constant;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = (point << 6) | (next & 0x3fu);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && (point < 0x10000 || point > 0x10ffff)) ||
        (point >= 0xd800 && point < 0xe000)) {
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace binade::importer
