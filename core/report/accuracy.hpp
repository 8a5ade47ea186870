// The accuracy table: one row per method, compared with float image by image, and the verdict that follows.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/report/predictions.hpp"
#include "core/report/statistics.hpp"
#include "core/report/table.hpp"

namespace binade {

/// One calibration set of --calibration-sets, in points and decibels.
struct CalibrationSetResult {
  double accuracy = 0;
  double agreement = 0;
  double sqnr_db = 0;
};

/// One method on one data set. Percentages are in points; what a method or task does not have is absent.
struct AccuracyRow {
  std::string method;
  int weight_bits = 0, activation_bits = 0;  ///< 0: float
  bool segmentation = false;                 ///< `accuracy` is mIoU, else top-1
  double accuracy = 0;                       ///< ties count with their expectation under random breaking
  std::optional<double> top5;
  int ties = 0;                            ///< images whose largest logit several classes share
  std::optional<double> lowest;            ///< top-1 if ties went to the lowest class, as most other tools have it
  std::optional<double> pixel_accuracy;    ///< segmentation: percent of the labelled pixels
  std::vector<double> class_iou;           ///< segmentation: percent by class, -1 for one that is never a label
  int n = 0;                               ///< images
  int distinct = 0;                        ///< different ones; intervals count a copy as the image that it repeats
  int units = 0;                           ///< segmentation: what the bootstrap draws: images, or blocks of frames
  std::optional<Interval> interval;        ///< 95 %, of `accuracy`
  std::optional<double> delta;             ///< accuracy minus the reference's, on the images of both
  std::optional<Interval> delta_interval;  ///< 95 %, paired
  std::optional<double> p_value;           ///< exact McNemar, or its form for ties; classification only
  std::optional<double> agreement;  ///< same top class as the reference (ties in part); of a segmentation, pixels
  std::optional<double> sqnr_db;    ///< of the logits, against the reference's
  double seconds = 0;               ///< of the evaluation
  double quantize_seconds = 0;      ///< of making the network from the float one
  std::vector<CalibrationSetResult> sets;  ///< of repetitions with other calibration images
};

/// Positions (in a, in b) of the images that both have, told by their content, in a's order; the k-th copy of an
/// image pairs with the k-th copy.
std::vector<std::pair<int, int>> matching_images(const Predictions& a, const Predictions& b);

/// Summarises a column; against `reference` when given, image by image. Frames of a video count by blocks of `block` in
/// intervals of a segmentation (units.hpp; 0: by the images' names).
/// @throws DataError when both share no image, or disagree on a label or on the classes
AccuracyRow accuracy_row(const Predictions& predictions, const Predictions* reference, int block = 0);

/// A row that could not be made, and why.
struct FailedRow {
  std::string method, reason;
};

/// Everything that a table says: the store that report.json holds and every other form is printed from.
struct AccuracyReport {
  std::vector<AccuracyRow> rows;
  std::vector<FailedRow> failed;
  std::string reference = "float";  ///< the column that differences are to
  std::string triage;
  std::vector<std::string> classes;  ///< names, of a segmentation
  std::vector<std::string> notes;    ///< footnotes: skipped images, leakage, alarms
  nlohmann::ordered_json config, hashes, machine, details;
};

nlohmann::ordered_json to_json(const AccuracyReport& report);
/// The table for people: numbers rounded, intervals beside them, n and the notes below.
Table to_table(const AccuracyReport& report);
/// Segmentation: the IoU of every class that occurs, a column per method.
Table to_class_table(const AccuracyReport& report);
/// Both tables, or what the format wants.
std::string render(const AccuracyReport& report, Format format);

}  // namespace binade
