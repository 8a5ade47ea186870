// Finished rows of a table on disk, so that a table that was stopped goes on where it was.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/report/accuracy.hpp"
#include "core/report/predictions.hpp"

namespace binade {

/// All that a row adds to a table.
struct KeptRow {
  AccuracyRow row;
  std::vector<Predictions> columns;  ///< one per calibration set, without maps
  std::vector<std::string> notes;
  nlohmann::ordered_json details;  ///< by column
};

/// Writes METHOD.h5 and METHOD.json, in this order, into the folder, which is made. `key` tells what the row was made
/// from. @throws DataError
void keep_row(const std::filesystem::path& folder, const std::string& key, const KeptRow& kept);

/// The row, or none if it is not there or was made from something else. @throws DataError for a damaged file
std::optional<KeptRow> kept_row(const std::filesystem::path& folder, const std::string& key, const std::string& method,
                                const Predictions& reference, int block);

}  // namespace binade
