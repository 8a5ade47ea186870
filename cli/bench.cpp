// bench: how long a network takes, how much memory and how large it is, by scheme.
#include "experiment/bench.hpp"

#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/base/parallel.hpp"
#include "core/report/table.hpp"

namespace binade {
namespace {

Table table_of(const std::vector<BenchRow>& rows, int batch) {
  Table table{.columns = {{"scheme", false}, {"ms"}, {"CPU ms"}, {"images/s"}, {"weights, bytes"}, {"tensors, bytes"}}};
  for (const BenchRow& row : rows) {
    table.rows.push_back({row.scheme, fmt::format("{:.3f}", row.time.wall_ms), fmt::format("{:.3f}", row.time.cpu_ms),
                          fmt::format("{:.1f}", 1000 * batch / row.time.wall_ms), std::to_string(row.weight_bytes),
                          std::to_string(row.tensor_bytes)});
  }
  return table;
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  BenchJob job;
  std::string target, format = "text";
  bool brief = false;
  CommandLine flags("bench");
  bind(flags, job.network);
  flags.section("Measurement");
  flags.add("scheme", job.schemes, "what to time, separated by commas; a quantized network has its own widths",
            {.choices = names_of(schemes())});
  flags.add("batch", job.batch, "images per call");
  flags.add("seconds", job.seconds, "of calls per scheme; medians are printed");
  bind_target(flags, target);
  flags.section("Output");
  flags.add("brief", brief, "one line per scheme: NAME SCHEME bN Tthread: X ms");
  flags.add("format", format, "of what is printed", {.choices = names_of(formats())});
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", job.batch);

  job.skip_other_widths = !flags.is_set("scheme");
  job.target = [&](const Model& model) { return open_target(target_of(model, target)); };
  const std::vector<BenchRow> rows = run(job, flags.control()).rows;
  for (const BenchRow& row : rows) {
    if (!brief) break;
    fmt::print("{} {} b{} {}thread: {:.3f} ms\n", job.network.model, row.scheme, job.batch, thread_count(),
               row.time.wall_ms);
  }
  if (!brief) fmt::print("{}", render(table_of(rows, job.batch), format_of(format)));
  return kDone;
}

}  // namespace binade
