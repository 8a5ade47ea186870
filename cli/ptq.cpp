// ptq: one post-training quantization, kept as a checkpoint; with --data also what it costs.
#include <fmt/format.h>

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
  return parse_method(fmt::format("ptq-w{}a{}", widths.weights == 0 ? widths.both : widths.weights,
                                  widths.activations == 0 ? widths.both : widths.activations));
}

/// Without evaluation images: quantizes and says what the passes did.
nlohmann::ordered_json quantize_only(const TableFlags& table, const Method& method, const Flags& flags, Model& model) {
  const Dataset all = open_calibration_data(table.data, model);
  const auto images =
      read_images("read calibration images", chosen_calibration(all, table.data, flags, 0), table.data, model);
  double seconds = 0;
  PtqResult result = quantize_with_progress(method.name, model.graph, *images,
                                            ptq_options(method, table.preset, flags, table.data.seed), seconds);
  model.graph = apply_target(result.quantized, open_target(table.target));
  return {{"method", method.name}, {"quantize_seconds", seconds}, {"details", std::move(result.report)}};
}

}  // namespace

int run_ptq(const std::vector<std::string>& arguments) {
  TableFlags table;
  Widths widths;
  CommandLine flags("ptq");
  bind(flags, table.network);
  bind_evaluation(flags, table.data);
  bind_calibration(flags, table.data);
  flags.section("Method");
  flags.add("bits", widths.both, "of weights and activations, 2 to 16");
  flags.add("weight-bits", widths.weights, "of weights", {.when_unset = "as --bits"});
  flags.add("activation-bits", widths.activations, "of activations", {.when_unset = "as --bits"});
  flags.add("preset", table.preset, "settings to start from", {.choices = names_of(ptq_presets())});
  flags.add("batch", table.batch, "images per step of an evaluation");
  bind(flags, table.ptq);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", table.batch);
  const Method method = method_of(widths);

  const OutputFolder out(table.output);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  Model model = open_network(table.network);
  if (table.data.data.empty()) {
    const auto report = quantize_only(table, method, flags, model);
    out.write("report.json", report.dump(2) + "\n");
    fmt::print("quantized {} with {} in {:.1f} s; give --data to see what it costs\n", model.name, method.name,
               report["quantize_seconds"].get<double>());
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
