// ptq: one post-training quantization, kept as a checkpoint; with --data also what it costs.
#include <fmt/format.h>

#include "cli/program.hpp"
#include "cli/quantize_command.hpp"
#include "cli/target.hpp"

namespace binade {

int run_ptq(const std::vector<std::string>& arguments) {
  TableFlags table;
  WidthFlags widths;
  CommandLine flags("ptq");
  bind(flags, table.network);
  bind_evaluation(flags, table.data);
  bind_calibration(flags, table.data);
  flags.section("Method");
  bind(flags, widths);
  bind_layer_bits(flags, table.layer_bits);
  flags.add("preset", table.preset, "settings to start from", {.choices = names_of(ptq_presets())});
  flags.add("batch", table.batch, "images per step of an evaluation");
  bind(flags, table.ptq);
  bind_target(flags, table.target);
  bind(flags, table.output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", table.batch);
  const Method method = method_of("ptq", widths);
  return run_quantization(table, method, flags, [&](const Graph& graph, ImageSource& images) -> Quantization {
    double seconds = 0;
    PtqResult result = quantize_with_progress(method.name, graph, images,
                                              ptq_options(method, table.preset, flags, table.data.seed), seconds);
    return {.graph = std::move(result.quantized),
            .report = {{"method", method.name}, {"quantize_seconds", seconds}, {"details", std::move(result.report)}},
            .text = fmt::format("quantized with {} in {:.1f} s", method.name, seconds)};
  });
}

}  // namespace binade
