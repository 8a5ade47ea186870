// How a training run went, as rows of a CSV file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace binade {

struct MetricsRow {
  int epoch = 0;                     ///< 0, 1, ...
  std::int64_t step = 0;             ///< updates so far
  double loss = 0;                   ///< mean over the steps since the row before
  double learning_rate = 0;          ///< of the last of them
  double images_per_second = 0;      ///< over them, validation excluded
  std::optional<double> validation;  ///< top-1 or mIoU in percent; only where it was measured
};

/// Header and one line per row; loss, rate and top-1 read back as the same bits.
std::string metrics_csv(std::span<const MetricsRow> rows);

/// Gives rows that come from a checkpoint, which knows no clock, the speeds that metrics_csv wrote for their steps.
void take_speeds(std::span<MetricsRow> rows, std::string_view csv);

}  // namespace binade
