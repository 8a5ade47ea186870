// Writes float networks as ONNX files.
#pragma once

#include <filesystem>
#include <string>

#include "core/model/model_format.hpp"

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

/// A quantized network with a pair of QuantizeLinear and DequantizeLinear per grid, power-of-two scales and zero points
/// 0, or 128 where signed 8-bit activations are stored as uint8 (the same grid); weights and biases as int8, int16 and
/// int32. Opset 13 up to 8 bits, 21 above. Codes of fewer bits than their type are cut by a Clip first. What runtimes
/// fuse is laid out so: a ReLU whose clamp the quantizer makes anyway is left out, and operators that keep a grid have
/// it on both sides. Bilinear weights, exponentials and leaky slopes are the runtime's own reals.
extern const ModelFormat kOnnxQdqFormat;

/// TI's exchange form: a float network with the weights and biases that the grids hold, and a Clip at the ends of each
/// range, [-2^k, 2^k] or [0, 2^k]. @source [docs/ti.md 2.7]
extern const ModelFormat kOnnxClipFormat;

}  // namespace binade
