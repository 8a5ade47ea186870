// One quantization as a command.
#include "cli/quantize_command.hpp"

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/passes/apply_target.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {

void bind(Flags& flags, WidthFlags& widths) {
  flags.add("bits", widths.both, "of weights and activations, 2 to 16");
  flags.add("weight-bits", widths.weights, "of weights", {.when_unset = "as --bits"});
  flags.add("activation-bits", widths.activations, "of activations", {.when_unset = "as --bits"});
}

Method method_of(const std::string& kind, const WidthFlags& widths) {
  return parse_method(fmt::format("{}-w{}a{}", kind, widths.weights == 0 ? widths.both : widths.weights,
                                  widths.activations == 0 ? widths.both : widths.activations));
}

int run_quantization(const TableFlags& table, const Method& method, const Flags& flags,
                     const std::function<Quantization(const Graph&, ImageSource&)>& quantize) {
  const OutputFolder out(table.output);
  if (!out) throw UsageError("--out is missing: wanted is the folder for the quantized network");
  const Model model = open_network(table.network);
  Graph quantized;
  if (table.data.data.empty()) {
    const Dataset all = open_calibration_data(table.data, model);
    const auto images =
        read_images("read calibration images", chosen_calibration(all, table.data, flags, 0), table.data, model);
    Quantization result = quantize(model.graph, *images);
    quantized = apply_target(result.graph, open_target(table.target));
    result.report["target"] = table.target;
    out.write("report.json", result.report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    fmt::print("{}; give --data to see what it costs\n", result.text);
  } else {
    TableResult result = run_accuracy_table(table, {{.name = "float"}, method}, flags);
    quantized = std::move(result.networks.at(method.name));
    out.write_report(result.report);
    write_predictions(out.file("predictions.h5"), result.columns);
    fmt::print("{}", render(result.report, format_of(table.output.format)));
  }
  save_quantized(model, std::move(quantized), method.name, table.target, flags, out);
  return kDone;
}

void save_quantized(Model model, Graph quantized, const std::string& method, const std::string& target,
                    const Flags& flags, const OutputFolder& out) {
  model.graph = std::move(quantized);
  const std::string layers = to_string(layer_bits_of(flags));
  model.notes["quantization"] = layers.empty() ? method : fmt::format("{}, {}", method, layers);
  model.notes["target"] = target;
  save_checkpoint(model, out.file("network.h5"), flags.config_text());
  out.write("config.cfg", flags.config_text());
}

}  // namespace binade
