// Tensors that an ONNX file keeps in other files beside it (external data): found, checked and read in.
#pragma once

#include <filesystem>

#include <onnx/onnx_pb.h>

namespace binade::importer {

/// Reads the elements of every tensor that lies in another file into the model, so that nothing external is left.
/// @return the bytes that were read
/// @throws DataError for a path that is absolute, holds "..", or leads out of `folder` by a link; for a file that is
/// missing or too short for the tensor; and for a length that does not fit the tensor's extents
std::size_t read_external_data(::onnx::ModelProto& model, const std::filesystem::path& folder);

}  // namespace binade::importer
