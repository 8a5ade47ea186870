// The fast mode as a job: a quantized network without labels or gradients.
#pragma once

#include <string>

#include "calibration/calibrate.hpp"
#include "experiment/quantize.hpp"

namespace binade {

/// With evaluation images, also what it costs in accuracy.
struct CalibrateJob {
  TableJob table;  ///< its settings; methods do not matter
  int weight_bits = 8, activation_bits = 8;
};

/// @throws UsageError, DataError
QuantizeResult run(const CalibrateJob& job, const JobControl& control = {});

/// The preset, then the patch. @throws UsageError for an unknown preset
CalibrateOptions calibrate_options(const Method& method, const TableJob& job);

/// As a stage of progress.
CalibrateResult calibrate_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                        const CalibrateOptions& options, const JobControl& control);

/// "calibration8: 100 images in 3.2 s, 31.2 images/s", from a report of calibrate().
std::string speed_text(const std::string& name, const nlohmann::json& report);

}  // namespace binade
