// Post-training quantization as a job: a quantized network and its report.
#pragma once

#include "experiment/quantize.hpp"

namespace binade {

/// With evaluation images, also what it costs in accuracy.
struct PtqJob {
  TableJob table;  ///< its settings; methods do not matter
  int weight_bits = 8, activation_bits = 8;
};

/// @throws UsageError, DataError
QuantizeResult run(const PtqJob& job, const JobControl& control = {});

}  // namespace binade
