// A PTQ pass: a named function from graph to graph, with a context that is its whole world.
#pragma once

#include <span>
#include <string_view>

#include "core/passes/quantizers.hpp"
#include "ptq/ptq.hpp"

namespace binade {

struct PassContext {
  ImageSource& images;
  const PtqOptions& options;
  nlohmann::json& report;  ///< of this pass: an object to fill
  Graph reference;         ///< the float network to come close to: what the exact passes have made so far
  QuantizerOptions quantizers;
};

struct Pass {
  std::string_view name, summary;
  Graph (*run)(const Graph& graph, PassContext& context);
  /// Its result is the network to come close to, written in another way. The others move away from it, or back.
  bool is_exact = false;
};

/// All passes, in a sensible order.
std::span<const Pass> pass_table();

Graph uncap_activations(const Graph& graph, PassContext& context);
Graph rescale_channels(const Graph& graph, PassContext& context);
Graph clip_weights(const Graph& graph, PassContext& context);
Graph quantize(const Graph& graph, PassContext& context);
Graph search_exponents(const Graph& graph, PassContext& context);
Graph round_weights(const Graph& graph, PassContext& context);
Graph correct_bias(const Graph& graph, PassContext& context);

}  // namespace binade
