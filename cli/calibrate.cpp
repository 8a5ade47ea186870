// calibrate: the fast mode, kept as a quantized checkpoint; with --data also what it costs.
#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "experiment/calibrate.hpp"

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
  bind(flags, table.job.network);
  bind_evaluation(flags, table.job.data);
  bind_calibration(flags, table.job.data);
  flags.section("Method");
  bind(flags, widths);
  bind_layer_bits(flags, table.layer_bits);
  flags.add("preset", table.job.calibrate.preset, preset_help(), {.choices = names_of(calibrate_presets())});
  flags.add("batch", table.job.batch, "images per step of an evaluation");
  bind(flags, table.calibrate);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  table.fill_job(flags);
  const OutputFolder out(table.output);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  const CalibrateJob job{
      .table = table.job, .weight_bits = widths.weight_bits(), .activation_bits = widths.activation_bits()};
  return keep_quantization(run(job, flags.control()), table, flags, out);
}

}  // namespace binade
