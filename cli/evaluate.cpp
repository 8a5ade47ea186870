// evaluate: the accuracy of one network as it is stored.
#include <algorithm>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/passes/quantizers.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

bool has_quantizers(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return std::holds_alternative<FakeQuant>(node.op); });
}

/// The graph that an engine runs.
Graph graph_for(const Model& model, std::string& engine) {
  const bool quantized = has_quantizers(model.graph);
  if (engine.empty()) engine = quantized ? "fakequant" : "float";
  if (engine == "float") return quantized ? without_quantizers(model.graph) : model.graph;
  if (!quantized) {
    throw UsageError(
        fmt::format("--engine fakequant: '{}' holds no quantizers; make a quantized checkpoint with `binade ptq`, "
                    "or use --engine float",
                    model.name));
  }
  return model.graph;
}

}  // namespace

int run_evaluate(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  DataFlags data;
  OutputFlags output;
  std::string engine;
  int batch = 32;
  CommandLine flags("evaluate");
  bind(flags, network);
  bind_evaluation(flags, data);
  flags.section("Evaluation");
  flags.add("engine", engine, "float: in float, quantizers left out; fakequant: with its quantizers",
            {.choices = {"float", "fakequant"}, .when_unset = "as the network is stored"});
  flags.add("batch", batch, "images per step; results do not depend on it");
  bind(flags, output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", batch);

  const OutputFolder out(output);
  const Model model = open_network(network);
  const Graph graph = graph_for(model, engine);
  const Dataset dataset = open_evaluation_data(data, model);
  const auto images = read_images("read images", dataset, data, model);
  const Predictions predictions = evaluate_graph(engine, graph, *images, batch);

  AccuracyReport report;
  report.rows = {accuracy_row(predictions, nullptr)};
  report.notes = {fmt::format("n = {} images of '{}'.", images->count(), data.data)};
  note_bad_images("evaluation", *images, report.notes);
  for (const std::string& alarm : alarms(report.rows, predictions.classes)) report.notes.push_back(alarm);
  describe_run(report, flags, network, model, *images);
  out.write_report(report);
  if (out) write_predictions(out.file("predictions.h5"), {predictions});
  fmt::print("{}", render(report, format_of(output.format)));
  return kDone;
}

}  // namespace binade
