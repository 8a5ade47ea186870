// table: one row per method, on the same images.
#include <filesystem>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {

int run_table(const std::vector<std::string>& arguments) {
  TableFlags table;
  CommandLine flags("table");
  bind(flags, table.job.network);
  bind_evaluation(flags, table.job.data);
  bind_calibration(flags, table.job.data);
  flags.add("calibration-sets", table.job.calibration_sets,
            "repeat with that many seeded choices and print the spread");
  flags.add("equivalence-margin", table.job.margin,
            "points: \"no loss\" is said only where the whole interval of the difference lies above minus this");
  flags.section("Methods");
  flags.add("methods", table.job.methods, kMethodHelp);
  bind_layer_bits(flags, table.layer_bits);
  flags.add("preset", table.job.preset, "settings of the rows that are not -simple",
            {.choices = names_of(ptq_presets())});
  flags.add("batch", table.job.batch, "images per step of an evaluation; results do not depend on it");
  bind(flags, table.ptq);
  bind(flags, table.job.qat, table.qat);
  flags.add("qat.preset", table.job.qat.preset, "settings of the qat rows", {.choices = names_of(qat_presets())});
  bind(flags, table.calibrate);
  flags.add("calibrate.preset", table.job.calibrate.preset, "settings of the calibration rows",
            {.choices = names_of(calibrate_presets())});
  bind_target(flags, table.target);
  bind(flags, table.output);
  flags.add("resume", table.job.resume, "take the rows that a stopped run in --out has finished");
  if (!flags.read(arguments)) return kDone;

  parse_methods(table.job.methods);  // names are checked before anything is read
  check_positive("calibration-sets", table.job.calibration_sets);
  if (!(table.job.margin > 0 && table.job.margin <= 100)) {
    throw UsageError(
        fmt::format("--equivalence-margin: {}; wanted are points, more than 0 and at most 100", table.job.margin));
  }
  table.fill_job(flags);
  if (table.job.resume && table.output.out.empty())
    throw UsageError("--resume continues the table in --out: which folder?");
  const OutputFolder out(table.output, table.job.resume);
  if (out) table.job.rows = out.file("rows");
  const TableResult result = run(table.job, flags.control());

  out.write_report(result.report);
  out.write("config.cfg", flags.config_text());
  if (out) {
    write_predictions(out.file("predictions.h5"), result.columns);
    std::filesystem::remove_all(table.job.rows);  // the table holds them now
  }
  fmt::print("{}", render(result.report, format_of(table.output.format)));
  return result.report.failed.empty() ? kDone : kCheckFailed;
}

}  // namespace binade
