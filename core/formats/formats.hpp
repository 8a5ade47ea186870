// The table of file formats, and the single door for `--model`: a file of any of them, or a name of the zoo.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "core/model/model_format.hpp"

namespace binade {

/// Every format that is read or written, in the order of help texts. Each row is defined beside its reader in core/io.
std::span<const ModelFormat> model_formats();

/// The format of a file: by its ending, among the formats with that ending by its first bytes.
/// @throws DataError if no format that is read has the ending, naming those that do
const ModelFormat& format_of_file(const std::filesystem::path& path);

/// Reads a file of any format, or builds a network of the zoo.
/// @throws UsageError for an unknown zoo name (with the nearest known one), DataError for a file that cannot be used
Model load_model(const std::string& path_or_name, const ReadOptions& options = {});

}  // namespace binade
