// evaluate: the accuracy of one network as it is stored.
#include "experiment/evaluate.hpp"

#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {

int run_evaluate(const std::vector<std::string>& arguments) {
  EvaluateJob job;
  OutputFlags output;
  std::string target;
  CommandLine flags("evaluate");
  bind(flags, job.network);
  bind_evaluation(flags, job.data);
  flags.section("Evaluation");
  flags.add("engine", job.engine,
            "float: in float, quantizers left out; fakequant: with its quantizers, in float; integer: in integers",
            {.choices = {"float", "fakequant", "integer"}, .when_unset = "as the network is stored"});
  flags.add("batch", job.batch, "images per step; results do not depend on it");
  bind_target(flags, target);
  bind(flags, output);
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", job.batch);
  job.target = [&](const Model& model) { return open_target(target_of(model, target)); };
  const OutputFolder out(output);
  job.folder = out.path();
  job.config = flags.config();
  const EvaluateResult result = run(job, flags.control());
  out.write_report(result.report);
  if (out) write_predictions(out.file("predictions.h5"), result.columns);
  fmt::print("{}", render(result.report, format_of(output.format)));
  return kDone;
}

}  // namespace binade
