// Both ends of an imported network: its one input, and the output that is wanted of it.
#pragma once

#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/io/onnx/importer.hpp"
#include "core/model/model_format.hpp"

namespace binade::importer {

/// "[N, 3, 224, 224]"
std::string text_of(const ::onnx::TensorShapeProto& shape);

/// Declares the single input that is not an initializer. `channels_first`: the file says that its order is NCHW, else
/// an input whose last extent is 1 or 3 may be NHWC.
/// @throws DataError for several inputs, another type or rank, and extents that neither file nor options give
void declare_input(Importer& importer, bool channels_first, const ReadOptions& options);

/// The output's name: the only one, or the one that the options choose.
/// @throws DataError listing the outputs, with their extents, if there are several and none of them is chosen
std::string choose_output(const ::onnx::GraphProto& graph, const ReadOptions& options);

/// Which nodes an output depends on, and which values those nodes read.
struct Needed {
  std::vector<bool> nodes;
  std::unordered_set<std::string> values;
};
Needed needed_for_output(const ::onnx::GraphProto& graph, const std::string& output);

/// Makes a value the graph's output; notes["ending"] says what was left out after it.
void set_output(Importer& importer, const std::string& output, std::map<std::string, std::string>& notes);

}  // namespace binade::importer
