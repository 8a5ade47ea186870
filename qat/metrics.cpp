// Writes the CSV.
#include "qat/metrics.hpp"

#include <fmt/format.h>

namespace binade {

std::string metrics_csv(std::span<const MetricsRow> rows) {
  std::string text = "epoch,step,loss,learning_rate,images_per_second,validation_top1\n";
  for (const MetricsRow& row : rows) {
    const std::string top1 = row.validation_top1 ? fmt::format("{}", *row.validation_top1) : "";
    text += fmt::format("{},{},{},{},{:.1f},{}\n", row.epoch, row.step, row.loss, row.learning_rate,
                        row.images_per_second, top1);
  }
  return text;
}

}  // namespace binade
