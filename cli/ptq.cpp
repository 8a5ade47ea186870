// ptq: one post-training quantization, kept as a checkpoint; with --data also what it costs.
#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "experiment/ptq.hpp"

namespace binade {

int run_ptq(const std::vector<std::string>& arguments) {
  TableFlags table;
  WidthFlags widths;
  CommandLine flags("ptq");
  bind(flags, table.job.network);
  bind_evaluation(flags, table.job.data);
  bind_calibration(flags, table.job.data);
  flags.section("Method");
  bind(flags, widths);
  bind_layer_bits(flags, table.layer_bits);
  flags.add("preset", table.job.preset, "settings to start from", {.choices = names_of(ptq_presets())});
  flags.add("batch", table.job.batch, "images per step of an evaluation");
  bind(flags, table.ptq);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  table.fill_job(flags);
  const OutputFolder out(table.output);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  const PtqJob job{
      .table = table.job, .weight_bits = widths.weight_bits(), .activation_bits = widths.activation_bits()};
  return keep_quantization(run(job, flags.control()), table, flags, out);
}

}  // namespace binade
