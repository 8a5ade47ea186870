// Training in float as a job: a network of the zoo or of a file, kept as a checkpoint on the way.
#pragma once

#include <filesystem>
#include <vector>

#include "core/base/progress.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions.hpp"
#include "experiment/images.hpp"
#include "experiment/network.hpp"
#include "experiment/settings.hpp"

namespace binade {

struct TrainJob {
  NetworkSource network;
  DataSource data;
  TrainSettings train;
  std::filesystem::path folder;   ///< of network.h5 and metrics.csv; empty: none is written
  bool resume = false;            ///< continue what is in `folder`, to the same bits as if it had never stopped
  nlohmann::ordered_json config;  ///< the settings as the caller names them, for the report
};

struct TrainJobResult {
  Model model;
  AccuracyReport report;
  std::vector<Predictions> columns;  ///< one
};

/// @throws UsageError, DataError
TrainJobResult run(const TrainJob& job, const JobControl& control = {});

}  // namespace binade
