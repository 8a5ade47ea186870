// train: a network from the zoo or a file, trained in float, kept as a checkpoint after every epoch.
#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "core/base/error.hpp"
#include "core/report/predictions_file.hpp"
#include "experiment/train.hpp"

namespace binade {

int run_train(const std::vector<std::string>& arguments) {
  TrainJob job;
  OutputFlags output;
  CommandLine flags("train");
  bind(flags, job.network);
  bind_evaluation(flags, job.data);
  bind(flags, job.train);
  bind(flags, output);
  flags.add("resume", job.resume, "continue the run in --out, to the same bits as if it had never stopped");
  if (!flags.read(arguments)) return kDone;
  if (job.network.model.empty())
    throw UsageError("--model is missing: wanted is a name of the zoo, or a file to go on from");
  check_positive("train.epochs", job.train.options.epochs);
  check_positive("train.batch", job.train.options.batch);
  if (job.resume && output.out.empty()) throw UsageError("--resume continues the run in --out: which folder?");
  const OutputFolder out(output, job.resume);
  job.folder = out.path();
  job.config = flags.config();
  const TrainJobResult result = run(job, flags.control());
  out.write_report(result.report);
  out.write("config.cfg", flags.config_text());
  if (out) write_predictions(out.file("predictions.h5"), result.columns);
  fmt::print("{}", render(result.report, format_of(output.format)));
  return kDone;
}

}  // namespace binade
