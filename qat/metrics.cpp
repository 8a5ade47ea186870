// Writes the CSV and reads speeds from it.
#include "qat/metrics.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>

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

void take_speeds(std::span<MetricsRow> rows, std::string_view csv) {
  std::map<std::int64_t, double> speeds;
  std::istringstream lines{std::string(csv)};
  for (std::string line; std::getline(lines, line);) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream cells(line);
    std::int64_t epoch = 0, step = 0;
    double loss = 0, learning_rate = 0, speed = 0;
    if (cells >> epoch >> step >> loss >> learning_rate >> speed) speeds[step] = speed;
  }
  for (MetricsRow& row : rows) {
    if (const auto found = speeds.find(row.step); found != speeds.end()) row.images_per_second = found->second;
  }
}

}  // namespace binade
