// Writes float networks as ONNX files.
#pragma once

#include <filesystem>
#include <string>

#include "core/model/model.hpp"

namespace binade {

/// The network as an ONNX model of opset 13 (14 with HardSwish, 18 with a resize by no whole factor), float32: input
/// [N, c, h, w] in a batch of any size ([N, c] for a network without pixels), kernels OIHW, output [N, classes] or
/// [N, classes, h, w]. Nodes and initializers bear the names they have here, and a node's output is called as the node.
/// Batch norm stays; dropout, which inference does not have, is left out.
/// `metadata_props` holds name, task, classes (JSON) and preprocessing (JSON, exact), which import_onnx reads back.
/// @throws DataError naming ALL nodes that have no plain float form (quantizers, losses), or if the file would be
/// larger than ONNX allows (2 GiB)
std::string onnx_bytes(const Model& model);

/// The same as a file, written in one step.
void export_onnx(const Model& model, const std::filesystem::path& path);

}  // namespace binade
