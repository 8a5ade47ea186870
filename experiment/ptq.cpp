// Post-training quantization on the calibration images.
#include "experiment/ptq.hpp"

#include <utility>

#include <fmt/format.h>

namespace binade {

QuantizeResult run(const PtqJob& job, const JobControl& control) {
  const Method method = method_of("ptq", job.weight_bits, job.activation_bits);
  return run_quantization(
      job.table, method,
      [&](const Graph& graph, ImageSource& images) -> Quantization {
        double seconds = 0;
        PtqResult result =
            quantize_with_progress(method.name, graph, images, ptq_options(method, job.table), seconds, control);
        return {
            .graph = std::move(result.quantized),
            .report = {{"method", method.name}, {"quantize_seconds", seconds}, {"details", std::move(result.report)}},
            .text = fmt::format("quantized with {} in {:.1f} s", method.name, seconds)};
      },
      control);
}

}  // namespace binade
