// A calibration as a job: its options, its run, what is said about its speed. Of `calibrate` and of the table's rows.
#pragma once

#include <string>

#include "calibration/calibrate.hpp"
#include "cli/bind.hpp"
#include "cli/methods.hpp"

namespace binade {

/// The preset, then what flags and config say ([calibrate]). @throws UsageError for an unknown preset
CalibrateOptions calibrate_options(const Method& method, const CalibrateFlags& calibrate, const Flags& flags,
                                   std::uint64_t seed);

/// With a progress bar.
CalibrateResult calibrate_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                        const CalibrateOptions& options);

/// "calibration8: 100 images in 3.2 s, 31.2 images/s", from a report of calibrate().
std::string speed_text(const std::string& name, const nlohmann::json& report);

}  // namespace binade
