// Evaluates a network by one of the engines.
#include "experiment/evaluate.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/quantizers.hpp"
#include "core/report/verdict.hpp"
#include "experiment/integer.hpp"

namespace binade {
namespace {

/// The graph that an engine of floats runs.
Graph graph_for(const Model& model, const std::string& engine, const TargetProfile& target) {
  const bool quantized = is_quantized(model.graph);
  if (engine == "float") return quantized ? without_quantizers(model.graph) : model.graph;
  if (!quantized) {
    throw UsageError(
        fmt::format("--engine fakequant: '{}' holds no quantizers; make a quantized checkpoint with `binade ptq`, "
                    "or use --engine float",
                    model.name));
  }
  return apply_target(model.graph, target);
}

}  // namespace

EvaluateResult run(const EvaluateJob& job, const JobControl& control) {
  const Model model = open_network(job.network);
  const std::string engine = !job.engine.empty() ? job.engine : is_quantized(model.graph) ? "fakequant" : "float";
  const TargetProfile target = job.target ? job.target(model) : TargetProfile{};
  // What cannot be lowered is said before images are read.
  std::optional<TargetNetwork> integer;
  if (engine == "integer") integer = for_target(model, target);
  const Graph graph = integer ? Graph{} : graph_for(model, engine, target);
  const Dataset dataset = open_evaluation_data(job.data, model, control);
  const auto images = read_images("read images", dataset, job.data, model, control);
  AccuracyReport report;
  Predictions predictions;
  if (integer) {
    Engine runner(integer->lowered.program);
    report.details["program"] = describe_program(integer->lowered, runner);
    predictions = evaluate_program(engine, integer->lowered.program, runner, *images, job.batch, control);
  } else {
    predictions = evaluate_graph(engine, graph, *images, job.batch, control);
  }
  report.rows = {accuracy_row(predictions, nullptr, job.data.bootstrap_block)};
  report.notes = {fmt::format("n = {} images of '{}'.", images->count(), job.data.data)};
  describe_segmentation(job.data, *images, report);
  note_bad_images("evaluation", images->bad(), report.notes);
  for (const std::string& alarm : conclude(report.rows, predictions.classes).alarms) report.notes.push_back(alarm);
  if (const std::string shift = label_shift_alarm(predictions); !shift.empty()) report.notes.push_back(shift);
  describe_run(report, {.config = job.config, .model = model, .evaluation = *images});
  keep_overlays(job.folder, job.data, *images, predictions);
  return {.report = std::move(report), .columns = {std::move(predictions)}};
}

}  // namespace binade
