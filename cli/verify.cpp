// verify: the integer engine against the quantized graph, code by code, with what every layer needs.
#include <algorithm>

#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/io/program_file.hpp"
#include "core/report/table.hpp"
#include "experiment/verify.hpp"

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

}  // namespace

int run_verify(const std::vector<std::string>& arguments) {
  VerifyJob job;
  OutputFlags output;
  std::string target_name, program_file;
  CommandLine flags("verify");
  bind(flags, job.network);
  bind_evaluation(flags, job.data);
  bind_target(flags, target_name);
  flags.add("program", program_file, "check this program instead of one freshly made from --model",
            {.when_unset = "a fresh one"});
  flags.add("batch", job.batch, "images at a time", {.when_unset = "one per thread"});
  bind(flags, output);
  if (!flags.read(arguments)) return kDone;
  job.program = program_file;
  job.target = [&](const Model& model) { return open_target(target_of(model, target_name)); };
  const OutputFolder out(output);
  const VerifyResult verified = run(job, flags.control());

  const Verification& result = verified.found;
  const std::int64_t mismatches = verified.mismatches();
  const std::string verdict =
      fmt::format("{} tensors, {} elements, {} mismatches", result.tensors, result.elements, mismatches);
  const Json layers = layers_json(verified.checked, result);
  Json json{{"model", verified.model},
            {"images", result.images},
            {"tensors", result.tensors},
            {"elements", result.elements},
            {"mismatches", result.mismatches},
            {"engine_mismatches", result.engine_mismatches},
            {"first", result.first ? Json(result.first->to_string()) : Json(nullptr)},
            {"engine_first", result.engine_first},
            {"program", verified.description},
            {"layers", layers}};
  if (!verified.notes.empty()) json["notes"] = verified.notes;
  out.write("verify.json", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  if (out && mismatches == 0) save_program(verified.checked.program, out.file("program.h5"));

  const Format format = format_of(output.format);
  if (format == Format::json) {
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    Table table = layer_table(layers, verified.checked.program.accumulator_bits);
    table.notes.push_back(bounds_note(verified.checked));
    table.notes.insert(table.notes.end(), verified.notes.begin(), verified.notes.end());
    if (result.first) table.notes.push_back("Program against graph: " + result.first->to_string());
    if (!result.engine_first.empty()) table.notes.push_back("Engine against reference: " + result.engine_first);
    fmt::print("{}{}\n", render(table, format), verdict);
  }
  return mismatches == 0 ? kDone : kCheckFailed;
}

}  // namespace binade
