// The accuracy table as a job: what `table` does between its flags and its output.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/bind.hpp"
#include "cli/methods.hpp"
#include "core/model/model.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions.hpp"

namespace binade {

struct TableFlags {
  NetworkFlags network;
  DataFlags data;
  OutputFlags output;
  std::vector<std::string> methods{"float", "ptq8-simple", "ptq8", "ptq16"};
  std::vector<std::string> layer_bits;  ///< read through the flags
  std::string preset = "best";
  std::string target = "tidl";
  int calibration_sets = 1;
  int batch = 32;
  PtqOptions ptq;            ///< only what was set counts, through the flags
  QatFlags qat;              ///< of the qat rows
  CalibrateFlags calibrate;  ///< of the calibration rows
};

struct TableResult {
  AccuracyReport report;
  std::vector<Predictions> columns;       ///< of every row, and of further calibration sets as "METHOD.set2"
  std::map<std::string, Graph> networks;  ///< quantized, by method
};

/// Post-training quantization with a progress bar; the wall clock goes to `seconds`.
PtqResult quantize_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                 const PtqOptions& options, double& seconds);

/// Runs float first, whatever the order of rows, since everything is compared with it.
TableResult run_accuracy_table(const TableFlags& table, const std::vector<Method>& methods, const Flags& flags);

/// The options of a row: its preset, then what flags and config say ([ptq]), except for `-simple` rows.
PtqOptions ptq_options(const Method& method, const std::string& preset, const Flags& flags, std::uint64_t seed);

}  // namespace binade
