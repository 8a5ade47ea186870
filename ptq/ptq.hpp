// Post-training quantization: from a float graph and unlabelled images to a quantized graph, by an ordered list of
// passes.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/graph/graph.hpp"
#include "core/model/image_source.hpp"
#include "core/passes/widths.hpp"

namespace binade {

struct PtqOptions {
  int weight_bits = 8;
  int activation_bits = 8;
  std::vector<LayerWidth> layer_bits;     ///< layers with other widths
  int bias_bits = 32;                     ///< 32 and 16 at accumulator scale; 8 on its own power-of-two grid (TI)
  std::string range = "exponent_search";  ///< a name from the table of estimators
  std::string weight_range = "exponent_search";
  double percentile = 0.01;  ///< percent cut at each tail by `percentile` [docs/ti.md 2.4]
  int headroom_bits = 0;     ///< `quantize` doubles the ranges of activations that often
  /// Names from the table of passes, run in this order.
  std::vector<std::string> passes;
  std::string weight_rounding = "half_away";
  std::string activation_rounding = "half_up";
  double ridge = 0;  ///< round_weights: see RoundLayersOptions
  double damping = 0.01;
  int batch = 25;  ///< images per step of a pass
  std::uint64_t seed = 0;
  friend bool operator==(const PtqOptions&, const PtqOptions&) = default;
};

struct PtqPreset {
  std::string_view name;
  PtqOptions (*make)(int weight_bits, int activation_bits);
};
std::span<const PtqPreset> ptq_presets();

/// Named settings: `simple` (min-max, no correction), `best`, `tidl`. @throws UsageError for an unknown name
PtqOptions ptq_preset(const std::string& name, int weight_bits, int activation_bits);

struct PtqResult {
  Graph quantized;        ///< parameters on their grids, FakeQuant after every quantized tensor
  Graph reference;        ///< its float twin: the same nodes and scales, weights before they were rounded
  nlohmann::json report;  ///< what each pass did: seconds, counts, per-tensor specs and errors
};

/// `on_pass(name, done, total)` is called before each pass, for a progress bar.
PtqResult post_training_quantize(const Graph& graph, ImageSource& images, const PtqOptions& options,
                                 const std::function<void(const std::string&, int, int)>& on_pass = {});

}  // namespace binade
