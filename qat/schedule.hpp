// Learning rates over a run: a warm-up, then one of a table of curves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace binade {

struct ScheduleOptions {
  std::string name = "cosine";  ///< of the table
  double learning_rate = 0.1;   ///< the peak, reached at the end of the warm-up
  double warmup_epochs = 0;     ///< may be a fraction; a straight line up to the peak
  double warmup_start = 0.001;  ///< part of the peak at the first step
  double final_factor = 0;      ///< cosine: part of the peak that remains at the end
  double step_epochs = 30;      ///< step: epochs between two drops
  double step_factor = 0.1;     ///< step: what is left after a drop
};

struct ScheduleEntry {
  std::string_view name, summary;
  /// Part of the peak at `epoch` of `epochs` (real numbers), both counted from the end of the warm-up.
  double (*factor)(const ScheduleOptions& options, double epoch, double epochs);
};

std::span<const ScheduleEntry> schedule_table();

/// The rate of step `step` = 0, 1, ... of a run of `epochs` epochs of `steps_per_epoch` steps.
/// @throws UsageError for an unknown name, with the known ones and the nearest
double learning_rate(const ScheduleOptions& options, std::int64_t step, std::int64_t steps_per_epoch, int epochs);

}  // namespace binade
