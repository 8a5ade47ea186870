// Per-image predictions in HDF5, one group per column: any two columns, also of different runs, can be paired later.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/report/predictions.hpp"

namespace binade {

/// A sealed file (core/io/sealed_file.hpp) of /COLUMN/{images, hashes, labels, top1, top5, logits} or {.., confusion},
/// attributes `classes` and `seconds`; lists of strings are joined with zero bytes. Written atomically. @throws
/// DataError
void write_predictions(const std::filesystem::path& path, const std::vector<Predictions>& columns);

/// @throws DataError if the file is not of this kind, was damaged, or a column is not valid
std::vector<Predictions> read_predictions(const std::filesystem::path& path);
/// One column; with an empty name the only one. @throws DataError naming the columns that there are
Predictions read_predictions(const std::filesystem::path& path, const std::string& column);

}  // namespace binade
