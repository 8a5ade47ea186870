// What a file says about its network beside the graph.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include <onnx/onnx_pb.h>

#include "core/model/model_format.hpp"

namespace binade::importer {

/// input = slope * pixel + offset, per channel.
struct Affine {
  std::array<double, 3> slope{0, 0, 0}, offset{0, 0, 0};
};

/// Reads "(x/255 - mean)/std", "x/127.5 - 1", "x = 0.58 * (q - 83), q = int8 ...": + - * / and parentheses over
/// numbers, `mean`, `std` and one variable; a remark may follow behind a comma or in parentheses.
/// Null if it is not such a formula, or does not depend on the variable.
std::optional<Affine> read_formula(std::string_view text, const std::array<double, 3>& mean,
                                   const std::array<double, 3>& std);

/// Leaves out the outputs before that of class 0, so many as the options or the file's `class_offset` say, and notes
/// what was left out. @throws DataError for a number that leaves no output
void drop_class_offset(const ReadOptions& options, Model& model);

/// Fills name, task, classes, preprocessing and notes from metadata_props and the graph's shapes.
void read_metadata(const ::onnx::ModelProto& proto, const std::string& origin, Model& model);

}  // namespace binade::importer
