// verify: the integer engine against the quantized graph, code by code, with what every layer needs.
#include <algorithm>

#include <fmt/format.h>

#include "cli/integer.hpp"
#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/progress.hpp"
#include "core/io/program_file.hpp"
#include "core/passes/verify_integer.hpp"
#include "core/report/table.hpp"

namespace binade {
namespace {

using Json = nlohmann::ordered_json;

Json layer_json(const LayerBounds& layer, const InstructionStatistics& seen) {
  return {{"layer", layer.name},
          {"acc_bound", layer.acc_bound},
          {"acc_bits", layer.acc_bits},
          {"worst_acc", seen.worst_acc},
          {"acc_beyond", seen.acc_beyond},
          {"shift", layer.shift},
          {"saturated_weights", layer.saturated_weights},
          {"biases", layer.biases},
          {"saturated_biases", layer.saturated_biases},
          {"codes", seen.codes},
          {"saturated_codes", seen.saturated},
          {"fits", layer.fits},
          {"fp32_exact", layer.fp32_exact}};
}

Json layers_json(const Lowered& lowered, const Verification& result) {
  Json layers = Json::array();
  for (const LayerBounds& layer : lowered.layers) {
    layers.push_back(layer_json(layer, result.statistics.instructions[static_cast<std::size_t>(layer.instruction)]));
  }
  return layers;
}

Table layer_table(const Json& layers, int accumulator_bits) {
  Table table{.columns = {{"layer", false},
                          {"acc bound"},
                          {"bits"},
                          {"worst acc seen"},
                          {fmt::format("beyond {} bits", accumulator_bits)},
                          {"shift"},
                          {"weights cut"},
                          {"biases cut"},
                          {"codes cut, %"},
                          {"fp32 exact"}}};
  for (const Json& layer : layers) {
    const double codes = std::max(layer["codes"].get<double>(), 1.0);
    table.rows.push_back({layer["layer"], layer["acc_bound"].dump(), layer["acc_bits"].dump(),
                          layer["worst_acc"].dump(), layer["acc_beyond"].dump(), layer["shift"].dump(),
                          layer["saturated_weights"].dump(), layer["saturated_biases"].dump(),
                          fmt::format("{:.4f}", 100 * layer["saturated_codes"].get<double>() / codes),
                          layer["fp32_exact"].get<bool>() ? "proven" : "no"});
  }
  return table;
}

std::string bounds_note(const Lowered& lowered) {
  const auto& layers = lowered.layers;
  const auto total = layers.size();
  const auto exact = std::count_if(layers.begin(), layers.end(), [](const LayerBounds& l) { return l.fp32_exact; });
  std::string note = fmt::format("A simulation in fp32 is proven exact for {} of {} layers. ", exact, total);
  std::vector<std::string> wide;
  for (const LayerBounds& layer : layers) {
    if (!layer.fits) wide.push_back(layer.name);
  }
  const int bits = lowered.program.accumulator_bits;
  if (wide.empty()) return note + fmt::format("No accumulator can leave {} bits.", bits);
  const std::size_t shown = std::min<std::size_t>(wide.size(), 5);
  return note + fmt::format(
                    "{} layers could leave the {}-bit accumulator of target '{}' ({}{}); see `beyond` for "
                    "whether any did.",
                    wide.size(), bits, lowered.program.target,
                    fmt::join(wide.begin(), wide.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                    shown < wide.size() ? ", ..." : "");
}

/// The program that is put to the test: freshly lowered, or a file's.
Program program_to_check(const std::string& file, const Lowered& lowered) {
  if (file.empty()) return lowered.program;
  Program program = load_program(file);
  if (program.code.size() != lowered.program.code.size()) {
    throw DataError(
        fmt::format("'{}' has {} instructions, the network for target '{}' has {}: not of this network, or "
                    "for another target",
                    file, program.code.size(), lowered.program.target, lowered.program.code.size()));
  }
  return program;
}

}  // namespace

int run_verify(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  DataFlags data;
  OutputFlags output;
  std::string target_name, program_file;
  int batch = 0;
  CommandLine flags("verify");
  bind(flags, network);
  bind_evaluation(flags, data);
  bind_target(flags, target_name);
  flags.add("program", program_file, "check this program instead of one freshly made from --model",
            {.when_unset = "a fresh one"});
  flags.add("batch", batch, "images at a time", {.when_unset = "one per thread"});
  bind(flags, output);
  if (!flags.read(arguments)) return kDone;

  const OutputFolder out(output);
  const Model model = open_network(network);
  const TargetNetwork checked = for_target(model, open_target(target_of(model, target_name)));
  const Program program = program_to_check(program_file, checked.lowered);
  const Dataset dataset = open_images(data, model);
  const auto images = read_images("read images", dataset, data, model);

  IntegerVerifier verifier(checked.graph, program);
  Progress progress("verify", images->count(), "images");
  const int step = batch > 0 ? batch : thread_count();
  for (int first = 0; first < images->count(); first += step) {
    const int n = std::min(step, images->count() - first);
    verifier.check(images->images(first, n));
    progress.advance(n);
  }
  const Verification& result = verifier.result();
  const std::int64_t mismatches = result.mismatches + result.engine_mismatches;
  const std::string verdict =
      fmt::format("{} tensors, {} elements, {} mismatches", result.tensors, result.elements, mismatches);
  const Json layers = layers_json(checked.lowered, result);
  Json json{{"model", model.name},
            {"images", result.images},
            {"tensors", result.tensors},
            {"elements", result.elements},
            {"mismatches", result.mismatches},
            {"engine_mismatches", result.engine_mismatches},
            {"first", result.first ? Json(result.first->to_string()) : Json(nullptr)},
            {"engine_first", result.engine_first},
            {"program", describe_program(checked.lowered, Engine(checked.lowered.program))},
            {"layers", layers}};
  out.write("verify.json", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  if (out && mismatches == 0) save_program(program, out.file("program.h5"));

  const Format format = format_of(output.format);
  if (format == Format::json) {
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    Table table = layer_table(layers, program.accumulator_bits);
    table.notes.push_back(bounds_note(checked.lowered));
    if (result.first) table.notes.push_back("Program against graph: " + result.first->to_string());
    if (!result.engine_first.empty()) table.notes.push_back("Engine against reference: " + result.engine_first);
    fmt::print("{}{}\n", render(table, format), verdict);
  }
  return mismatches == 0 ? kDone : kCheckFailed;
}

}  // namespace binade
