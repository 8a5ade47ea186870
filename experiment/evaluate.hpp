// The accuracy of one network as it is stored, as a job.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/integer/target.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions.hpp"
#include "experiment/images.hpp"
#include "experiment/network.hpp"

namespace binade {

struct EvaluateJob {
  NetworkSource network;
  DataSource data;
  std::string engine;  ///< float, fakequant or integer; empty: as the network is stored
  /// Which target the network is for; empty: the default one.
  std::function<TargetProfile(const Model&)> target;
  int batch = 32;                 ///< images per step; results do not depend on it
  std::filesystem::path folder;   ///< of the pictures that `data.overlays` asks for
  nlohmann::ordered_json config;  ///< the settings as the caller names them, for the report
};

struct EvaluateResult {
  AccuracyReport report;
  std::vector<Predictions> columns;  ///< one
};

/// @throws UsageError, DataError
EvaluateResult run(const EvaluateJob& job, const JobControl& control = {});

}  // namespace binade
