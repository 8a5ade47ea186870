// Options and progress of calibrations.
#include "experiment/calibrate.hpp"

#include <utility>

#include <fmt/format.h>

namespace binade {

CalibrateOptions calibrate_options(const Method& method, const TableJob& job) {
  CalibrateOptions options = calibrate_preset(job.calibrate.preset, method.weight_bits, method.activation_bits);
  options.seed = job.data.seed;
  options.layer_bits = job.layer_bits;
  return patched(std::move(options), job.calibrate.patch);
}

QuantizeResult run(const CalibrateJob& job, const JobControl& control) {
  const Method method = method_of("calibration", job.weight_bits, job.activation_bits);
  return run_quantization(
      job.table, method,
      [&](const Graph& graph, ImageSource& images) -> Quantization {
        CalibrateResult result =
            calibrate_with_progress(method.name, graph, images, calibrate_options(method, job.table), control);
        std::string text = speed_text(method.name, result.report);
        return {.graph = std::move(result.quantized),
                .report = {{"method", method.name},
                           {"preset", job.table.calibrate.preset},
                           {"details", std::move(result.report)}},
                .text = std::move(text)};
      },
      control);
}

CalibrateResult calibrate_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                        const CalibrateOptions& options, const JobControl& control) {
  const int passes = options.iterations > 0 ? options.iterations * options.batch : images.count();
  Progress progress(control, "calibrate " + name, passes, "images");
  int before = 0;
  return calibrate(graph, images, options, [&](const std::string& stage, int done, int) {
    progress.note(stage);
    progress.advance(done - std::exchange(before, done));
  });
}

std::string speed_text(const std::string& name, const nlohmann::json& report) {
  return fmt::format("{}: {} images in {:.1f} s, {:.1f} images/s", name, report["images"].get<int>(),
                     report["seconds"].get<double>(), report["images_per_second"].get<double>());
}

}  // namespace binade
