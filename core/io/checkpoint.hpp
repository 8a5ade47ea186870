// Checkpoints: a whole model in one HDF5 file, written in one step and verified when read.
//
// A sealed file (core/io/sealed_file.hpp) with /model, the structure as JSON, and /parameters/p<i>, float32 in our
// layout (OHWI).
#pragma once

#include <filesystem>
#include <string>

#include "core/model/model_format.hpp"

namespace binade {

struct Checkpoint {
  Model model;
  std::string extra;  ///< text of the writer: a configuration, or an optimizer's state as JSON
};

/// Writes graph, parameters, preprocessing, classes and notes; an old file is replaced in one step.
/// The same model gives the same bytes.
/// @throws DataError if the file cannot be written, or a value cannot be kept (a name that is not UTF-8, a NaN)
void save_checkpoint(const Model& model, const std::filesystem::path& path, const std::string& extra = {});

/// @throws DataError for a file that is missing, cut off, damaged, of a newer format, or that holds what is no network:
/// an unknown operator or field, shapes that do not fit, a parameter that is not finite
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// The structure alone as JSON text, which is what /model holds, and its inverse, with zeros for parameters.
std::string model_to_json(const Model& model);
/// @throws DataError for anything that is not a valid model
Model model_from_json(const std::string& text);

/// Reads the model of a checkpoint and ignores `extra`.
extern const ModelFormat kCheckpointFormat;

}  // namespace binade
