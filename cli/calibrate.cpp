// calibrate: the fast mode, kept as a quantized checkpoint; with --data also what it costs.
#include <fmt/format.h>

#include "cli/calibrate_run.hpp"
#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/table_run.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/passes/apply_target.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

struct Widths {
  int both = 8, weights = 0, activations = 0;
};

Method method_of(const Widths& widths) {
  return parse_method(fmt::format("calibration-w{}a{}", widths.weights == 0 ? widths.both : widths.weights,
                                  widths.activations == 0 ? widths.both : widths.activations));
}

/// Without evaluation images: quantizes and says what was done.
nlohmann::ordered_json calibrate_only(const TableFlags& table, const Method& method, const Flags& flags, Model& model) {
  const Dataset all = open_calibration_data(table.data, model);
  const auto images =
      read_images("read calibration images", chosen_calibration(all, table.data, flags, 0), table.data, model);
  CalibrateResult result = calibrate_with_progress(method.name, model.graph, *images,
                                                   calibrate_options(method, table.calibrate, flags, table.data.seed));
  model.graph = apply_target(result.quantized, open_target(table.target));
  return {{"method", method.name}, {"preset", table.calibrate.preset}, {"details", std::move(result.report)}};
}

std::string preset_help() {
  std::string help = "settings to start from";
  for (const CalibratePreset& preset : calibrate_presets())
    help += fmt::format("; {}: {}", preset.name, preset.summary);
  return help;
}

}  // namespace

int run_calibrate(const std::vector<std::string>& arguments) {
  TableFlags table;
  Widths widths;
  CommandLine flags("calibrate");
  bind(flags, table.network);
  bind_evaluation(flags, table.data);
  bind_calibration(flags, table.data);
  flags.section("Method");
  flags.add("bits", widths.both, "of weights and activations, 2 to 16");
  flags.add("weight-bits", widths.weights, "of weights", {.when_unset = "as --bits"});
  flags.add("activation-bits", widths.activations, "of activations", {.when_unset = "as --bits"});
  flags.add("preset", table.calibrate.preset, preset_help(), {.choices = names_of(calibrate_presets())});
  flags.add("batch", table.batch, "images per step of an evaluation");
  bind(flags, table.calibrate.options);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", table.batch);
  const Method method = method_of(widths);

  const OutputFolder out(table.output);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  Model model = open_network(table.network);
  if (table.data.data.empty()) {
    const auto report = calibrate_only(table, method, flags, model);
    out.write("report.json", report.dump(2) + "\n");
    fmt::print("{}; give --data to see what it costs\n", speed_text(method.name, report["details"]));
  } else {
    TableResult result = run_accuracy_table(table, {{.name = "float"}, method}, flags);
    model.graph = std::move(result.networks.at(method.name));
    out.write_report(result.report);
    write_predictions(out.file("predictions.h5"), result.columns);
    fmt::print("{}", render(result.report, format_of(table.output.format)));
  }
  model.notes["quantization"] = method.name;
  model.notes["target"] = table.target;
  save_checkpoint(model, out.file("network.h5"), flags.config_text());
  out.write("config.cfg", flags.config_text());
  return kDone;
}

}  // namespace binade
