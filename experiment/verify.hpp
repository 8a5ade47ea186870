// The integer engine against the quantized graph, code by code, as a job.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/integer/target.hpp"
#include "core/passes/verify_integer.hpp"
#include "experiment/images.hpp"
#include "experiment/network.hpp"

namespace binade {

struct VerifyJob {
  NetworkSource network;
  DataSource data;
  /// Which target the network is for; empty: the default one.
  std::function<TargetProfile(const Model&)> target;
  std::filesystem::path program;  ///< a saved program that is put to the test; empty: a fresh one
  int batch = 0;                  ///< images at a time; 0: one per thread
};

struct VerifyResult {
  std::string model;  ///< its name
  Lowered checked;    ///< the program that was put to the test, with the bounds of its layers
  Verification found;
  nlohmann::ordered_json description;  ///< of that program
  std::vector<std::string> notes;      ///< images that could not be read

  std::int64_t mismatches() const { return found.mismatches + found.engine_mismatches; }
};

/// @throws UsageError, DataError
VerifyResult run(const VerifyJob& job, const JobControl& control = {});

}  // namespace binade
