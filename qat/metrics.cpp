// Writes the CSV.
#include "qat/metrics.hpp"

#include <fmt/format.h>

namespace binade {

std::string metrics_csv(std::span<const MetricsRow> rows) {
  std::string text = "epoch,step,loss,learning_rate,images_per_second,validation\n";
  for (const MetricsRow& row : rows) {
    const std::string validation = row.validation ? fmt::format("{}", *row.validation) : "";
    text += fmt::format("{},{},{},{},{:.1f},{}\n", row.epoch, row.step, row.loss, row.learning_rate,
                        row.images_per_second, validation);
  }
  return text;
}

}  // namespace binade
