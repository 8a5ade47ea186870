// Fills jobs of quantizations and keeps their results.
#include "cli/quantize_command.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {

void bind(Flags& flags, WidthFlags& widths) {
  flags.add("bits", widths.both, "of weights and activations, 2 to 16");
  flags.add("weight-bits", widths.weights, "of weights", {.when_unset = "as --bits"});
  flags.add("activation-bits", widths.activations, "of activations", {.when_unset = "as --bits"});
}

void TableFlags::fill_job(const Flags& flags) {
  check_positive("batch", job.batch);
  job.layer_bits = parse_layer_bits(layer_bits);
  job.target = open_target(target);
  job.data.exact_calibration_images = flags.is_set("calibration-images");
  job.ptq = patch_of<PtqOptions>(flags);
  job.qat.patch = patch_of<QatOptions>(flags);
  job.calibrate.patch = patch_of<CalibrateOptions>(flags);
  job.folder = output.out;
  job.config = flags.config();
}

int keep_quantization(QuantizeResult result, const TableFlags& table, const Flags& flags, const OutputFolder& out) {
  if (result.table) {
    out.write_report(result.table->report);
    write_predictions(out.file("predictions.h5"), result.table->columns);
    fmt::print("{}", render(result.table->report, format_of(table.output.format)));
  } else {
    nlohmann::ordered_json& report = result.quantization.report;
    report["target"] = table.target;
    out.write("report.json", report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    fmt::print("{}; give --data to see what it costs\n", result.quantization.text);
    if (report.contains("notes")) {
      for (const auto& note : report["notes"]) fmt::print("{}\n", note.get<std::string>());
    }
  }
  save_quantized(std::move(result.model), table.target, flags, out);
  return kDone;
}

namespace {

/// The configuration without what says nothing of the network: equal runs give equal files.
std::string lasting_config(const Flags& flags) {
  std::istringstream text(flags.config_text());
  std::string lasting;
  bool in_section = false;
  for (std::string line; std::getline(text, line);) {
    in_section = in_section || line.starts_with('[');
    const auto is_key = [&](std::string_view key) { return line.starts_with(fmt::format("{} =", key)); };
    constexpr std::array<std::string_view, 5> kOfTheRun{"out", "force", "format", "threads", "resume"};
    if (in_section || std::none_of(kOfTheRun.begin(), kOfTheRun.end(), is_key)) lasting += line + "\n";
  }
  return lasting;
}

}  // namespace

void save_quantized(Model model, const std::string& target, const Flags& flags, const OutputFolder& out) {
  model.notes["target"] = target;
  save_checkpoint(model, out.file("network.h5"), lasting_config(flags));
  out.write("config.cfg", flags.config_text());
}

}  // namespace binade
