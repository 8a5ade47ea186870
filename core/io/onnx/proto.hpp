// Protobuf to checked data: parsing a file and decoding its tensors without trusting a single number.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <onnx/onnx_pb.h>

#include "core/io/onnx/values.hpp"

namespace binade::importer {

/// @throws DataError if the bytes are no ONNX model with a graph
::onnx::ModelProto parse_model(std::span<const std::byte> bytes, const std::string& origin);

/// The opset of the standard operators; files of IR version 2 and older have opset 1 unless they say otherwise.
/// @throws DataError if there is none or it is not within 7 .. 24
int standard_opset(const ::onnx::ModelProto& model, const std::string& origin);

/// @throws DataError for external data, an unknown type, or data whose size does not match the extents
Constant decode_tensor(const ::onnx::TensorProto& tensor);

/// The product of the extents. @throws DataError for extents that no tensor has
std::int64_t element_count(const ::onnx::TensorProto& tensor);

/// Bytes of one element in raw data; 0 for types that are not read.
int element_bytes(int data_type);

/// "float32", "int64", ...
std::string type_name(int data_type);

bool is_utf8(std::string_view text);

}  // namespace binade::importer
