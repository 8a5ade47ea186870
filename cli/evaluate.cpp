// evaluate: the accuracy of one network as it is stored.
#include <optional>

#include <fmt/format.h>

#include "cli/integer.hpp"
#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/quantizers.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

/// The graph that an engine of floats runs.
Graph graph_for(const Model& model, const std::string& engine, const std::string& target) {
  const bool quantized = is_quantized(model.graph);
  if (engine == "float") return quantized ? without_quantizers(model.graph) : model.graph;
  if (!quantized) {
    throw UsageError(
        fmt::format("--engine fakequant: '{}' holds no quantizers; make a quantized checkpoint with `binade ptq`, "
                    "or use --engine float",
                    model.name));
  }
  return apply_target(model.graph, open_target(target_of(model, target)));
}

}  // namespace

int run_evaluate(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  DataFlags data;
  OutputFlags output;
  std::string engine, target;
  int batch = 32;
  CommandLine flags("evaluate");
  bind(flags, network);
  bind_evaluation(flags, data);
  flags.section("Evaluation");
  flags.add("engine", engine,
            "float: in float, quantizers left out; fakequant: with its quantizers, in float; integer: in integers",
            {.choices = {"float", "fakequant", "integer"}, .when_unset = "as the network is stored"});
  flags.add("batch", batch, "images per step; results do not depend on it");
  bind_target(flags, target);
  bind(flags, output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", batch);

  const OutputFolder out(output);
  const Model model = open_network(network);
  if (engine.empty()) engine = is_quantized(model.graph) ? "fakequant" : "float";
  // What cannot be lowered is said before images are read.
  std::optional<TargetNetwork> integer;
  if (engine == "integer") integer = for_target(model, open_target(target_of(model, target)));
  const Dataset dataset = open_evaluation_data(data, model);
  const auto images = read_images("read images", dataset, data, model);
  AccuracyReport report;
  Predictions predictions;
  if (integer) {
    Engine runner(integer->lowered.program);
    report.details["program"] = describe_program(integer->lowered, runner);
    predictions = evaluate_program(engine, integer->lowered.program, runner, *images, batch);
  } else {
    predictions = evaluate_graph(engine, graph_for(model, engine, target), *images, batch);
  }
  report.rows = {accuracy_row(predictions, nullptr)};
  report.notes = {fmt::format("n = {} images of '{}'.", images->count(), data.data)};
  describe_segmentation(data, *images, report);
  note_bad_images("evaluation", *images, report.notes);
  for (const std::string& alarm : alarms(report.rows, predictions.classes)) report.notes.push_back(alarm);
  describe_run(report, flags, network, model, *images);
  keep_overlays(output, data, *images, predictions);
  out.write_report(report);
  if (out) write_predictions(out.file("predictions.h5"), {predictions});
  fmt::print("{}", render(report, format_of(output.format)));
  return kDone;
}

}  // namespace binade
