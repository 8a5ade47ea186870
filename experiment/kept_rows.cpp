// Keeps predictions, from which a row follows, and the few figures that do not follow from them.
#include "experiment/kept_rows.hpp"

#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/read_file.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

fs::path file_of(const fs::path& folder, const std::string& method, const char* ending) {
  return folder / (method + ending);
}

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

void keep_row(const fs::path& folder, const std::string& key, const KeptRow& kept) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw DataError(fmt::format("cannot create the folder {}: {}", shown(folder), error.message()));
  write_predictions(file_of(folder, kept.row.method, ".h5"), kept.columns);
  Json json{{"key", key},
            {"agreement", or_null(kept.row.agreement)},
            {"quantize_seconds", kept.row.quantize_seconds},
            {"weight_bits", kept.row.weight_bits},
            {"activation_bits", kept.row.activation_bits},
            {"sets", Json::array()},
            {"notes", kept.notes},
            {"details", kept.details}};
  for (const CalibrationSetResult& set : kept.row.sets)
    json["sets"].push_back({set.accuracy, set.agreement, set.sqnr_db});
  write_file_atomically(file_of(folder, kept.row.method, ".json"),
                        json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<KeptRow> kept_row(const fs::path& folder, const std::string& key, const std::string& method,
                                const Predictions& reference, int block) {
  const fs::path file = file_of(folder, method, ".json");
  if (!fs::exists(file)) return {};
  const std::vector<std::byte> bytes = read_whole_file(file, "a kept row");
  const Json json = Json::parse(reinterpret_cast<const char*>(bytes.data()),
                                reinterpret_cast<const char*>(bytes.data()) + bytes.size(), nullptr, false);
  if (!json.is_object() || json.value("key", "") != key) return {};
  KeptRow kept;
  kept.columns = read_predictions(file_of(folder, method, ".h5"));
  if (kept.columns.empty()) return {};
  try {
    kept.row = accuracy_row(kept.columns.front(), &reference, block);
    if (!json.at("agreement").is_null()) kept.row.agreement = json.at("agreement").get<double>();
    kept.row.quantize_seconds = json.at("quantize_seconds").get<double>();
    kept.row.weight_bits = json.at("weight_bits").get<int>();
    kept.row.activation_bits = json.at("activation_bits").get<int>();
    for (const Json& set : json.at("sets")) {
      kept.row.sets.push_back({set.at(0).get<double>(), set.at(1).get<double>(), set.at(2).get<double>()});
    }
    kept.notes = json.at("notes").get<std::vector<std::string>>();
    kept.details = json.at("details");
  } catch (const Json::exception& error) {
    throw DataError(fmt::format("{} holds no row of a table ({}); remove it", shown(file), error.what()));
  }
  return kept;
}

}  // namespace binade
