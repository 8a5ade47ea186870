// Reads float convolutional networks from ONNX files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "core/model/model_format.hpp"

namespace binade {

/// What torch.onnx.export and the common converters write for convolutional networks, opsets 7 to 24: one image input
/// of a fixed size (any batch), or of the size that the options give, constants in initializers, Constant nodes or
/// foldable chains. Names of nodes and initializers are kept. Layouts become ours: NCHW and NHWC inputs become NHWC,
/// kernels OHWI; transpositions that only rename axes vanish, and so do identities.
///
/// `metadata_props` may hold `name`, `task`, `classes` and `preprocessing` (JSON: color, formula, mean, std); without
/// the last, the usual ImageNet rule is assumed and notes["preprocessing"] says so.
/// @throws DataError naming the file and ALL nodes that cannot be imported, each with its operator and the reason;
/// also for damaged files, missing tensors and weights that are not finite
Model import_onnx(const std::filesystem::path& path, const ReadOptions& options = {});

/// A network with several outputs needs ReadOptions::output. What stands at the end and keeps the order of the classes
/// (LogSoftmax, ArgMax) is left out; one Sigmoid output becomes two classes with the logits {0, x}. notes["ending"]
/// says so. Tensors in other files (external data) are read from the folder of the file or below.
///
/// The same from bytes in memory, without external data; `origin` stands for the path in messages, and its stem for the
/// name.
Model import_onnx(std::span<const std::byte> bytes, const std::string& origin, const ReadOptions& options = {});

/// Reads as import_onnx and writes as export_onnx.
extern const ModelFormat kOnnxFormat;

}  // namespace binade
