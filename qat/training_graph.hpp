// From a quantized graph to one whose quantizers learn, and back.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/fixed_point.hpp"
#include "core/graph/graph.hpp"

namespace binade {

/// How a quantizer finds its grid while weights are trained.
struct QuantizerKind {
  std::string_view name, summary;
};

/// tqt, pact, pact-ema, lsq, fixed.
std::span<const QuantizerKind> quantizer_kinds();

struct TrainingGraphOptions {
  std::string quantizer = "tqt";  ///< of the table
  bool clipped = true;            ///< straight-through only inside the range; false: everywhere (not tqt, lsq)
};

/// Replaces the FakeQuant nodes of a quantized graph by quantizers that learn, under the same names; what they learn is
/// a parameter "NAME.threshold" (tqt: log2, in the middle of the exponents' interval, so that both neighbours are
/// equally far), "NAME.alpha" (pact) or "NAME.step" (lsq), and starts at the grid that is there. Outputs stay what they
/// are. pact leaves weights on their grids; pact-ema and fixed leave all FakeQuant nodes, whose grids the first of them
/// moves during training. Biases keep FakeQuant nodes, except under lsq: where there are no fixed-point accumulators
/// they stay float.
/// @throws UsageError for an unknown kind
Graph training_graph(const Graph& quantized, const TrainingGraphOptions& options);

/// The network on the grids that were learned: every Tqt and Pact becomes a FakeQuant, biases follow. Lsq stays: its
/// steps are no fixed-point grids.
Graph frozen_graph(const Graph& training);

enum class QuantizerRole { activation, weights, bias };

/// One quantizer of a graph, learning or not.
struct QuantizerSite {
  int node = 0;
  QuantizerRole role = QuantizerRole::activation;
  ValueId value{};                 ///< what it quantizes
  std::optional<ValueId> learned;  ///< the parameter it reads
};

/// All of them, in the order of the nodes.
std::vector<QuantizerSite> quantizer_sites(const Graph& graph);

bool is_quantizer(const Op& op);

/// The grid of a quantizer; `learned` is what it reads, if anything. None for Lsq.
std::optional<QuantSpec> quantizer_spec(const Op& op, double learned);

/// A bias quantizer, and the quantizers (nodes) of the input and the weights that it is added to.
struct BiasSite {
  int node = 0;
  ValueId bias{};
  int input = 0, weights = 0;
};
std::vector<BiasSite> bias_sites(const Graph& graph);

}  // namespace binade
