// The accuracy report in words and numbers: JSON, the table for people, the triage sentence.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/report/accuracy.hpp"

namespace binade {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json number(const std::optional<T>& value) {
  if (!value || !std::isfinite(*value)) return nullptr;
  return *value;
}

Json list(const std::optional<Interval>& interval) {
  return interval ? Json::array({interval->lo, interval->hi}) : Json(nullptr);
}

const char* metric(const AccuracyRow& row) {
  return row.segmentation ? "miou" : "top1";
}

Json to_json(const AccuracyRow& row) {
  Json json{{"method", row.method}, {metric(row), row.accuracy}};
  if (!row.segmentation) {
    json["top5"] = number(row.top5);
    json["ties"] = row.ties;
    json["top1_lowest"] = number(row.lowest);
  } else {
    json["pixel_accuracy"] = number(row.pixel_accuracy);
    for (const double iou : row.class_iou) json["class_iou"].push_back(iou < 0 ? Json(nullptr) : Json(iou));
  }
  json["n"] = row.n;
  json["distinct"] = row.distinct;
  if (row.segmentation) json["units"] = row.units;
  json["interval"] = list(row.interval);
  json["delta"] = number(row.delta);
  json["delta_interval"] = list(row.delta_interval);
  json["p_value"] = number(row.p_value);
  json["agreement"] = number(row.agreement);
  json["sqnr_db"] = number(row.sqnr_db);
  json["seconds"] = row.seconds;
  json["quantize_seconds"] = row.quantize_seconds;
  json["weight_bits"] = row.weight_bits == 0 ? Json(nullptr) : Json(row.weight_bits);
  json["activation_bits"] = row.activation_bits == 0 ? Json(nullptr) : Json(row.activation_bits);
  for (const CalibrationSetResult& set : row.sets) {
    json["calibration_sets"].push_back(
        {{metric(row), set.accuracy}, {"agreement", set.agreement}, {"sqnr_db", set.sqnr_db}});
  }
  return json;
}

std::string cell(const std::optional<double>& value, int digits) {
  if (!value) return "–";
  return std::isfinite(*value) ? fmt::format("{:.{}f}", *value, digits) : "inf";
}

std::string p_cell(const std::optional<double>& p) {
  if (!p) return "–";
  return *p < 0.0001 ? "<0.0001" : fmt::format("{:.4f}", *p);
}

std::string spread_note(const AccuracyRow& row) {
  std::vector<double> accuracy, agreement, sqnr;
  for (const CalibrationSetResult& set : row.sets) {
    accuracy.push_back(set.accuracy);
    agreement.push_back(set.agreement);
    sqnr.push_back(set.sqnr_db);
  }
  const Spread a = spread_of(accuracy), g = spread_of(agreement), s = spread_of(sqnr);
  return fmt::format(
      "{} over {} calibration sets: {} {:.2f} ± {:.2f} ({:.2f} … {:.2f}), agreement {:.2f} ± {:.2f}, "
      "SQNR {:.1f} ± {:.1f} dB (mean ± standard deviation; the row is the first set).",
      row.method, row.sets.size(), row.segmentation ? "mIoU" : "top-1", a.mean, a.deviation, a.min, a.max, g.mean,
      g.deviation, s.mean, s.deviation);
}

/// CSV holds the numbers of the JSON rows, unrounded; a list of two becomes NAME_lo and NAME_hi.
std::string render_csv(const AccuracyReport& report) {
  Table table;
  for (const AccuracyRow& row : report.rows) {
    const Json json = to_json(row);
    table.columns.clear();
    std::vector<std::string> cells;
    const auto add = [&](const std::string& name, const Json& value) {
      table.columns.push_back({name});
      cells.push_back(value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump());
    };
    for (const auto& [name, value] : json.items()) {
      if (name == "calibration_sets" || name == "class_iou") continue;
      if (name == "interval" || name == "delta_interval") {
        add(name + "_lo", value.is_null() ? value : value[0]);
        add(name + "_hi", value.is_null() ? value : value[1]);
      } else {
        add(name, value);
      }
    }
    table.rows.push_back(std::move(cells));
  }
  return render(table, Format::csv);
}

}  // namespace

nlohmann::ordered_json to_json(const AccuracyReport& report) {
  Json json{{"reference", report.reference}, {"rows", Json::array()}};
  for (const AccuracyRow& row : report.rows) json["rows"].push_back(to_json(row));
  for (const FailedRow& row : report.failed) {
    json["failed"].push_back({{"method", row.method}, {"reason", row.reason}});
  }
  json["triage"] = report.triage;
  json["notes"] = report.notes;
  if (!report.classes.empty()) json["classes"] = report.classes;
  json["config"] = report.config;
  json["hashes"] = report.hashes;
  json["machine"] = report.machine;
  if (!report.details.is_null()) json["details"] = report.details;
  return json;
}

Table to_table(const AccuracyReport& report) {
  const bool segmentation = !report.rows.empty() && report.rows.front().segmentation;
  Table table;
  table.columns = {{"method", false}, {segmentation ? "mIoU" : "top-1"}, {"95 % interval"}};
  table.columns.push_back({segmentation ? "pixels" : "top-5"});
  for (const char* name : {"n", "Δ", "95 % of Δ"}) table.columns.push_back({name});
  if (!segmentation) table.columns.push_back({"p"});
  table.columns.push_back({"agree"});
  if (!segmentation) table.columns.push_back({"SQNR dB"});
  const bool ties = std::any_of(report.rows.begin(), report.rows.end(), [](const auto& row) { return row.ties > 0; });
  if (ties) table.columns.insert(table.columns.end(), {{"ties"}, {"lowest"}});
  table.columns.push_back({"seconds"});
  for (const AccuracyRow& row : report.rows) {
    std::vector<std::string> cells{
        row.method, cell(row.accuracy, 2),
        row.interval ? fmt::format("{:.2f} … {:.2f}", row.interval->lo, row.interval->hi) : "–"};
    cells.push_back(cell(segmentation ? row.pixel_accuracy : row.top5, 2));
    cells.push_back(std::to_string(row.n));
    cells.push_back(row.delta ? with_sign(*row.delta) : "–");
    cells.push_back(row.delta_interval ? with_sign(row.delta_interval->lo) + " … " + with_sign(row.delta_interval->hi)
                                       : "–");
    if (!segmentation) cells.push_back(p_cell(row.p_value));
    cells.push_back(cell(row.agreement, 2));
    if (!segmentation) cells.push_back(cell(row.sqnr_db, 1));
    if (ties) cells.insert(cells.end(), {std::to_string(row.ties), cell(row.lowest, 2)});
    cells.push_back(cell(row.seconds, 1));
    table.rows.push_back(std::move(cells));
  }
  for (const FailedRow& row : report.failed) {
    std::vector<std::string> cells(table.columns.size(), "–");
    cells[0] = row.method;
    cells[1] = "failed";
    table.rows.push_back(std::move(cells));
  }
  const bool compares = std::any_of(report.rows.begin(), report.rows.end(), [](const auto& row) { return row.delta; });
  if (compares) {
    table.notes.push_back(
        segmentation
            ? fmt::format(
                  "pixels: percent of the labelled ones that are right. Δ of mIoU and agreement (of all pixels) "
                  "are to {}, paired image by image; intervals at 95 % by a studentised bootstrap.",
                  report.reference)
            : fmt::format("Δ, p (exact McNemar, ties as fractions), agreement of the top class and SQNR of the logits "
                          "are to {}, paired "
                          "image by image; intervals at 95 %.",
                          report.reference));
  }
  if (ties) {
    table.notes.push_back(
        "ties: images whose largest logit several classes share; the right one among m counts 1/m (ties broken at "
        "random). lowest: top-1 if ties went to the lowest class.");
  }
  if (segmentation && report.rows.front().units < report.rows.front().distinct) {
    table.notes.push_back(fmt::format("Intervals take neighbouring frames of a video as one: {} images are {} units.",
                                      report.rows.front().distinct, report.rows.front().units));
  }
  if (!report.rows.empty() && report.rows.front().distinct < report.rows.front().n) {
    table.notes.push_back(fmt::format("{} of the {} images are copies of others; intervals count {} distinct ones.",
                                      report.rows.front().n - report.rows.front().distinct, report.rows.front().n,
                                      report.rows.front().distinct));
  }
  for (const AccuracyRow& row : report.rows) {
    if (row.sets.size() > 1) table.notes.push_back(spread_note(row));
  }
  for (const FailedRow& row : report.failed) table.notes.push_back(row.method + " failed: " + row.reason);
  table.notes.insert(table.notes.end(), report.notes.begin(), report.notes.end());
  if (!report.triage.empty()) table.notes.push_back(report.triage);
  return table;
}

Table to_class_table(const AccuracyReport& report) {
  Table table{.columns = {{"IoU", false}}, .rows = {}, .notes = {}};
  for (const AccuracyRow& row : report.rows) table.columns.push_back({row.method});
  const std::size_t classes = report.rows.empty() ? 0 : report.rows.front().class_iou.size();
  for (std::size_t c = 0; c < classes; ++c) {
    if (report.rows.front().class_iou[c] < 0) continue;
    std::vector<std::string> cells{c < report.classes.size() ? report.classes[c] : fmt::format("class {}", c)};
    for (const AccuracyRow& row : report.rows) {
      cells.push_back(c < row.class_iou.size() ? fmt::format("{:.2f}", row.class_iou[c]) : "–");
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string render(const AccuracyReport& report, Format format) {
  if (format == Format::json) return to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (format == Format::csv) return render_csv(report);
  const Table classes = to_class_table(report);
  const std::string text = render(to_table(report), format);
  return classes.rows.empty() ? text : text + "\n" + render(classes, format);
}

}  // namespace binade
