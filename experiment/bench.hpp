// How long a network takes, how much memory and how large it is, by scheme, as a job.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/progress.hpp"
#include "core/integer/target.hpp"
#include "experiment/network.hpp"
#include "experiment/timing.hpp"

namespace binade {

/// Widths of weights and activations; 0: float.
struct Scheme {
  std::string_view name, summary;
  int weight_bits, activation_bits;
};
std::span<const Scheme> schemes();

struct BenchJob {
  NetworkSource network;
  std::vector<std::string> schemes{"float", "int8", "16"};
  /// A quantized network has its own widths: true leaves the other schemes out, false refuses them.
  bool skip_other_widths = true;
  /// Which target the network is for; empty: the default one.
  std::function<TargetProfile(const Model&)> target;
  int batch = 1;       ///< images per call
  double seconds = 2;  ///< of calls per scheme
};

struct BenchRow {
  std::string scheme;
  Timing time;
  std::size_t tensor_bytes = 0, weight_bytes = 0;
};

struct BenchResult {
  std::vector<BenchRow> rows;
};

/// @throws UsageError, DataError
BenchResult run(const BenchJob& job, const JobControl& control = {});

}  // namespace binade
