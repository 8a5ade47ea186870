// qat: one quantization-aware training, kept as a quantized checkpoint, with the run's state to continue from.
#include "experiment/qat.hpp"

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

/// What the flags are bound to until they fill the job.
struct QatCommand {
  QatJob job;
  OutputFlags output;
  QatOptions qat;  ///< only what was set counts, as a patch
  PtqOptions ptq;  ///< the same
  WidthFlags widths;
  std::vector<std::string> layer_bits;
  std::string target = "tidl";
};

void bind(CommandLine& flags, QatCommand& command) {
  QatJob& job = command.job;
  bind(flags, job.network);
  bind_evaluation(flags, job.data);
  bind_calibration(flags, job.data);
  flags.section("Method");
  bind(flags, command.widths);
  bind_layer_bits(flags, command.layer_bits);
  flags.add("preset", job.qat.preset, "settings to start from", {.choices = names_of(qat_presets())});
  flags.add("batch", job.batch, "images per step of an evaluation");
  bind(flags, job.qat, command.qat);
  bind(flags, command.ptq);
  bind_target(flags, command.target);
  bind(flags, command.output);
  flags.add("resume", job.resume, "continue the run in --out, to the same bits as if it had never stopped");
}

void fill_job(QatCommand& command, const Flags& flags) {
  QatJob& job = command.job;
  check_positive("batch", job.batch);
  job.weight_bits = command.widths.weight_bits();
  job.activation_bits = command.widths.activation_bits();
  method_of("qat", job.weight_bits, job.activation_bits);  // widths are checked before anything is read
  job.layer_bits = parse_layer_bits(command.layer_bits);
  job.target = open_target(command.target);
  job.data.exact_calibration_images = flags.is_set("calibration-images");
  job.qat.patch = patch_of<QatOptions>(flags);
  job.ptq = patch_of<PtqOptions>(flags);
  job.config = flags.config();
}

}  // namespace

int run_qat(const std::vector<std::string>& arguments) {
  QatCommand command;
  CommandLine flags("qat");
  bind(flags, command);
  if (!flags.read(arguments)) return kDone;
  fill_job(command, flags);
  const OutputFolder out(command.output, command.job.resume);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  command.job.folder = out.path();
  QatJobResult result = run(command.job, flags.control());
  out.write_report(result.report);
  write_predictions(out.file("predictions.h5"), result.columns);
  save_quantized(std::move(result.model), command.target, flags, out);
  fmt::print("{}", render(result.report, format_of(command.output.format)));
  return kDone;
}

}  // namespace binade
