// What `ptq` and `calibrate` share, and in part `qat`: widths, then either a table of two rows or the mere
// quantization, and the checkpoint.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/methods.hpp"
#include "cli/session.hpp"
#include "cli/table_run.hpp"

namespace binade {

/// --bits, --weight-bits, --activation-bits.
struct WidthFlags {
  int both = 8, weights = 0, activations = 0;  ///< 0: as `both`
};
void bind(Flags& flags, WidthFlags& widths);

/// "ptq" and {8, 0, 16}: ptq-w8a16. @throws UsageError for widths outside 2..16
Method method_of(const std::string& kind, const WidthFlags& widths);

/// A quantized network and what was done to get it.
struct Quantization {
  Graph graph;
  nlohmann::ordered_json report;
  std::string text;  ///< one clause for the terminal
};

/// With --data the float row and the method's, without it only what `quantize` does on the calibration images; the
/// network goes to --out as network.h5 beside its report. @throws UsageError without --out
int run_quantization(const TableFlags& table, const Method& method, const Flags& flags,
                     const std::function<Quantization(const Graph&, ImageSource&)>& quantize);

/// Says in the model's notes how it was quantized and for which target, and keeps it.
void save_quantized(Model model, Graph quantized, const std::string& method, const std::string& target,
                    const Flags& flags, const OutputFolder& out);

}  // namespace binade
