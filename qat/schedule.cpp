// The curves of the learning rate.
#include "qat/schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/base/names.hpp"

namespace binade {
namespace {

constexpr std::array<ScheduleEntry, 3> kSchedules{{
    {"cosine", "half a cosine from the peak down to final_factor",
     [](const ScheduleOptions& options, double epoch, double epochs) {
       const double progress = epochs > 0 ? std::min(1.0, epoch / epochs) : 1.0;
       const double falling = 0.5 * (1 + std::cos(std::numbers::pi * progress));
       return options.final_factor + (1 - options.final_factor) * falling;
     }},
    {"step", "times step_factor every step_epochs epochs",
     [](const ScheduleOptions& options, double epoch, double) {
       return std::pow(options.step_factor, std::floor(epoch / options.step_epochs));
     }},
    {"constant", "the peak all along", [](const ScheduleOptions&, double, double) { return 1.0; }},
}};

}  // namespace

std::span<const ScheduleEntry> schedule_table() {
  return kSchedules;
}

double learning_rate(const ScheduleOptions& options, std::int64_t step, std::int64_t steps_per_epoch, int epochs) {
  const ScheduleEntry& schedule = find_by_name("schedule", options.name, schedule_table());
  const double epoch = static_cast<double>(step) / static_cast<double>(steps_per_epoch);
  if (epoch < options.warmup_epochs) {
    const double progress = epoch / options.warmup_epochs;
    return options.learning_rate * (options.warmup_start + (1 - options.warmup_start) * progress);
  }
  return options.learning_rate *
         schedule.factor(options, epoch - options.warmup_epochs, epochs - options.warmup_epochs);
}

}  // namespace binade
