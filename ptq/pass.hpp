// A PTQ pass: a named function from graph to graph, with a context that is its whole world.
#pragma once

#include <span>
#include <string_view>

#include "calibration/estimators/estimators.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/ptq.hpp"

namespace binade {

struct PassContext {
  ImageSource& images;
  const PtqOptions& options;
  nlohmann::json& report;  ///< of this pass: an object to fill
  Graph reference;         ///< the float network to come close to: what the exact passes have made so far
  QuantizerOptions quantizers;
  std::span<const Estimator> estimators = {};  ///< besides those of the table
};

struct Pass {
  std::string_view name, summary;
  Graph (*run)(const Graph& graph, PassContext& context);
  /// Its result is the network to come close to, written in another way. The others move away from it, or back.
  bool is_exact = false;
};

/// Estimators and passes from outside the library: PtqOptions names them like those of the tables.
struct PtqExtensions {
  std::span<const Estimator> estimators;
  std::span<const Pass> passes;
};

/// All passes, in a sensible order.
std::span<const Pass> pass_table();

/// The same with `extensions`, which must outlive the call only.
/// @throws UsageError for a name that is unknown, or that an extension shares with a row of the library's table
PtqResult post_training_quantize(const Graph& graph, ImageSource& images, const PtqOptions& options,
                                 const PtqExtensions& extensions,
                                 const std::function<void(const std::string&, int, int)>& on_pass = {});

Graph uncap_activations(const Graph& graph, PassContext& context);
Graph rescale_channels(const Graph& graph, PassContext& context);
Graph clip_weights(const Graph& graph, PassContext& context);
Graph quantize(const Graph& graph, PassContext& context);
Graph search_exponents(const Graph& graph, PassContext& context);
Graph round_weights(const Graph& graph, PassContext& context);
Graph correct_bias(const Graph& graph, PassContext& context);

}  // namespace binade
