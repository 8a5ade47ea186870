// The accuracy table as a job: one row per method, all on the same images.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/integer/target.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions.hpp"
#include "experiment/images.hpp"
#include "experiment/methods.hpp"
#include "experiment/network.hpp"
#include "experiment/settings.hpp"

namespace binade {

struct TableJob {
  NetworkSource network;
  DataSource data;
  std::vector<std::string> methods{"float", "ptq8-simple", "ptq8", "ptq16"};
  std::vector<LayerWidth> layer_bits;  ///< of every quantized row
  std::string preset = "best";         ///< of the rows by post-training quantization that are not -simple
  TargetProfile target;
  int calibration_sets = 1;
  double margin = 1;              ///< points: a smaller loss counts as none
  int batch = 32;                 ///< images per step of an evaluation
  Patch<PtqOptions> ptq;          ///< of the rows that `preset` is of, and of what training starts from
  QatSettings qat;                ///< of the qat rows
  CalibrateSettings calibrate;    ///< of the calibration rows
  std::filesystem::path folder;   ///< of the pictures that `data.overlays` asks for
  nlohmann::ordered_json config;  ///< the settings as the caller names them, for the report
  std::filesystem::path rows;     ///< where finished rows are kept until the table is; empty: nowhere
  /// Rows in `rows` that were made from the same model, images, program and `config` are taken instead of made again;
  /// `config` must then name all that matters.
  bool resume = false;
};

struct TableResult {
  AccuracyReport report;
  std::vector<Predictions> columns;       ///< of every row, and of further calibration sets as "METHOD.set2"
  std::map<std::string, Graph> networks;  ///< quantized, by method; without rows that were taken from a folder
};

/// Runs float first, whatever the order of rows, since everything is compared with it.
/// @throws UsageError, DataError before anything has been computed for names and images that are wrong
TableResult run(const TableJob& job, const JobControl& control = {});

/// Post-training quantization as a stage of progress; the wall clock goes to `seconds`.
PtqResult quantize_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                 const PtqOptions& options, double& seconds, const JobControl& control);

/// The options of a row: its preset, then the patch, except for `-simple` rows.
PtqOptions ptq_options(const Method& method, const TableJob& job);

}  // namespace binade
