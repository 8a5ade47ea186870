// qat: one quantization-aware training, kept as a quantized checkpoint, with the run's state to continue from.
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/qat_run.hpp"
#include "cli/quantize_command.hpp"
#include "cli/session.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/passes/apply_target.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

struct QatCommand {
  NetworkFlags network;
  DataFlags data;
  OutputFlags output;
  QatFlags qat;
  PtqOptions ptq;  ///< only what was set counts, through the flags
  WidthFlags widths;
  std::vector<std::string> layer_bits;  ///< read through the flags
  std::string target = "tidl";
  int batch = 32;
  bool resume = false;
};

void bind(CommandLine& flags, QatCommand& command) {
  bind(flags, command.network);
  bind_evaluation(flags, command.data);
  bind_calibration(flags, command.data);
  flags.section("Method");
  bind(flags, command.widths);
  bind_layer_bits(flags, command.layer_bits);
  flags.add("preset", command.qat.preset, "settings to start from", {.choices = names_of(qat_presets())});
  flags.add("batch", command.batch, "images per step of an evaluation");
  bind(flags, command.qat);
  bind(flags, command.ptq);
  bind_target(flags, command.target);
  bind(flags, command.output);
  flags.add("resume", command.resume, "continue the run in --out, to the same bits as if it had never stopped");
}

/// Calibration images; where no folder is given, training images.
std::unique_ptr<LoadedImages> read_calibration(const QatCommand& command, const Flags& flags, const Model& model,
                                               LoadedImages& evaluation, std::vector<std::string>& notes) {
  const DataFlags data = calibration_flags(command.qat, command.data);
  const Dataset all = open_calibration_data(data, model);
  auto images = read_images("read calibration images", chosen_calibration(all, data, flags, 0), data, model);
  refuse_shared_images("calibration", images->dataset(), images->hashes(), data, evaluation, notes);
  return images;
}

/// The quantized network to start from: of an earlier part of this run, or made now and kept.
Graph starting_graph(const QatCommand& command, const Method& method, const Flags& flags, const OutputFolder& out,
                     const Model& model, LoadedImages& evaluation, std::vector<std::string>& notes) {
  const std::filesystem::path file = out.file("start.h5");
  if (command.resume && std::filesystem::exists(file)) return load_checkpoint(file).model.graph;
  const auto images = read_calibration(command, flags, model, evaluation, notes);
  double seconds = 0;
  const PtqOptions options = start_options(method, command.qat, flags, command.data.seed);
  Model start = model;
  const PtqResult quantized = quantize_with_progress("start", model.graph, *images, options, seconds);
  start.graph = with_free_weights(quantized.quantized, quantized.reference);
  save_checkpoint(start, file);
  return start.graph;
}

}  // namespace

int run_qat(const std::vector<std::string>& arguments) {
  QatCommand command;
  CommandLine flags("qat");
  bind(flags, command);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", command.batch);
  const Method method = method_of("qat", command.widths);
  const TargetProfile target = open_target(command.target);
  const OutputFolder out(command.output, command.resume);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  const QatOptions options = qat_options(method, command.qat, flags, command.data.seed);

  const Model model = open_network(command.network);
  AccuracyReport report;
  const Dataset dataset = open_evaluation_data(command.data, model);
  const auto evaluation = read_images("read evaluation images", dataset, command.data, model);
  note_bad_images("evaluation", *evaluation, report.notes);
  const auto training =
      read_training_images(command.qat, command.data, model, options.train.loss.labels, *evaluation, report.notes);
  const Graph start = starting_graph(command, method, flags, out, model, *evaluation, report.notes);
  const auto begin = std::chrono::steady_clock::now();
  const QatResult result = run_qat_job({.name = method.name,
                                        .model = model,
                                        .start = start,
                                        .training = *training,
                                        .validation = options.train.validate_epochs > 0 ? evaluation.get() : nullptr,
                                        .options = options,
                                        .checkpoint = out.file("training.h5")},
                                       command.resume);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Graph quantized = apply_target(result.quantized, target);

  const Predictions reference = evaluate_graph("float", model.graph, *evaluation, command.batch);
  const std::vector<Predictions> columns{
      reference, evaluate_graph("start", apply_target(start, target), *evaluation, command.batch),
      evaluate_graph(method.name, quantized, *evaluation, command.batch)};
  for (const Predictions& column : columns) {
    report.rows.push_back(accuracy_row(column, column.method == "float" ? nullptr : &reference));
  }
  for (std::size_t i : {1u, 2u}) {
    report.rows[i].weight_bits = method.weight_bits;
    report.rows[i].activation_bits = method.activation_bits;
  }
  report.rows[2].quantize_seconds = seconds;
  report.details[method.name] = details_of(result);
  report.notes.insert(report.notes.begin(), fmt::format("n = {} images of '{}', trained on {} others.",
                                                        evaluation->count(), command.data.data, training->count()));
  describe_segmentation(command.data, *evaluation, report);
  report.notes.insert(report.notes.end(), result.warnings.begin(), result.warnings.end());
  describe_run(report, flags, command.network, model, *evaluation);
  out.write_report(report);
  write_predictions(out.file("predictions.h5"), columns);
  save_quantized(model, quantized, method.name, command.target, flags, out);
  fmt::print("{}", render(report, format_of(command.output.format)));
  return kDone;
}

}  // namespace binade
