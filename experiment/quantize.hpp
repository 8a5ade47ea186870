// What post-training quantization and calibration share as jobs: a table of two rows or the mere quantization.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "experiment/methods.hpp"
#include "experiment/table.hpp"

namespace binade {

/// A quantized network and what was done to get it.
struct Quantization {
  Graph graph;
  nlohmann::ordered_json report;
  std::string text;  ///< one clause for the terminal
};

struct QuantizeResult {
  Model model;                       ///< quantized for the target; its notes say how
  std::optional<TableResult> table;  ///< with evaluation images
  Quantization quantization;         ///< without: report and text (the graph is the model's)
};

/// {"ptq", 8, 16}: ptq-w8a16. @throws UsageError for widths outside 2..16
Method method_of(const std::string& kind, int weight_bits, int activation_bits);

/// "ptq8" and widths of layers as the note "quantization" of a network says them.
std::string quantization_note(const std::string& method, const std::vector<LayerWidth>& layers);

/// With evaluation images the float row and the method's, without them only what `quantize` does on the calibration
/// images.
QuantizeResult run_quantization(const TableJob& job, const Method& method,
                                const std::function<Quantization(const Graph&, ImageSource&)>& quantize,
                                const JobControl& control);

}  // namespace binade
