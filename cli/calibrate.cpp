// calibrate: the fast mode, kept as a quantized checkpoint; with --data also what it costs.
#include <fmt/format.h>

#include "cli/calibrate_run.hpp"
#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"

namespace binade {
namespace {

std::string preset_help() {
  std::string help = "settings to start from";
  for (const CalibratePreset& preset : calibrate_presets())
    help += fmt::format("; {}: {}", preset.name, preset.summary);
  return help;
}

}  // namespace

int run_calibrate(const std::vector<std::string>& arguments) {
  TableFlags table;
  WidthFlags widths;
  CommandLine flags("calibrate");
  bind(flags, table.network);
  bind_evaluation(flags, table.data);
  bind_calibration(flags, table.data);
  flags.section("Method");
  bind(flags, widths);
  bind_layer_bits(flags, table.layer_bits);
  flags.add("preset", table.calibrate.preset, preset_help(), {.choices = names_of(calibrate_presets())});
  flags.add("batch", table.batch, "images per step of an evaluation");
  bind(flags, table.calibrate.options);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", table.batch);
  const Method method = method_of("calibration", widths);
  return run_quantization(table, method, flags, [&](const Graph& graph, ImageSource& images) -> Quantization {
    CalibrateResult result = calibrate_with_progress(
        method.name, graph, images, calibrate_options(method, table.calibrate, flags, table.data.seed));
    std::string text = speed_text(method.name, result.report);
    return {
        .graph = std::move(result.quantized),
        .report = {{"method", method.name}, {"preset", table.calibrate.preset}, {"details", std::move(result.report)}},
        .text = std::move(text)};
  });
}

}  // namespace binade
