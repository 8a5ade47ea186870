// What `table`, `ptq`, `calibrate` and `qat` share on the command line: widths, and what is kept of a quantization.
#pragma once

#include <string>

#include "cli/bind.hpp"
#include "cli/output_folder.hpp"
#include "experiment/quantize.hpp"

namespace binade {

/// --bits, --weight-bits, --activation-bits.
struct WidthFlags {
  int both = 8, weights = 0, activations = 0;  ///< 0: as `both`
  int weight_bits() const { return weights == 0 ? both : weights; }
  int activation_bits() const { return activations == 0 ? both : activations; }
};
void bind(Flags& flags, WidthFlags& widths);

/// What a table's flags are bound to until they fill a job.
struct TableFlags {
  TableJob job;
  std::vector<std::string> layer_bits;
  std::string target = "tidl";
  PtqOptions ptq;              ///< only what was set counts, as a patch
  QatOptions qat;              ///< the same
  CalibrateOptions calibrate;  ///< the same
  OutputFlags output;

  /// Moves what was read into the job. @throws UsageError
  void fill_job(const Flags& flags);
};

/// Report, predictions, checkpoint and config to the folder, the summary to stdout.
int keep_quantization(QuantizeResult result, const TableFlags& table, const Flags& flags, const OutputFolder& out);

/// The network as network.h5, with the configuration that made it.
void save_quantized(Model model, const std::string& target, const Flags& flags, const OutputFolder& out);

}  // namespace binade
