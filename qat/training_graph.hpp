// From a quantized graph to one whose quantizers learn, and back.
#pragma once

#include <functional>
#include <map>
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

/// tqt, pact, pact-pow2, pact-ema, lsq, fixed.
std::span<const QuantizerKind> quantizer_kinds();

struct TrainingGraphOptions {
  bool merge = false;             ///< see merged_training_graph(); with pact-ema and fixed only
  std::string quantizer = "tqt";  ///< of the table
  bool uncap_relu = false;        ///< see uncap_relu(): TI's quantizers stand in the place of ReLU6
  bool snap = false;              ///< TI's first iteration: weights begin on their codes, whatever lay between
  bool clipped = true;            ///< straight-through only inside the range; false: everywhere (not tqt, lsq)
};

/// Replaces the FakeQuant nodes of a quantized graph by quantizers that learn, under the same names; what they learn is
/// a parameter "NAME.threshold" (tqt: log2, in the middle of the exponents' interval, so that both neighbours are
/// equally far), "NAME.alpha" (pact, pact-pow2) or "NAME.step" (lsq), and starts at the grid that is there. Outputs
/// stay what they are. pact and pact-pow2 leave weights on their grids; pact-ema and fixed leave all FakeQuant nodes,
/// whose grids the first of them moves during training. So do those of images, except under lsq. Biases keep FakeQuant
/// nodes, except under lsq: where there are no fixed-point accumulators they stay float.
/// @throws UsageError for an unknown kind
Graph training_graph(const Graph& quantized, const TrainingGraphOptions& options);

/// The same quantized network with weights off their codes again: where they were in `reference`, its float twin, but
/// no further than 0.45 codes from the code that was chosen for them. What was rounded on purpose keeps its code; what
/// lay near a border is free to cross it.
Graph with_free_weights(const Graph& quantized, const Graph& reference);

/// The same with weights on their codes.
Graph with_snapped_weights(const Graph& quantized);

/// How large a change of a parameter is worth mentioning, by its name: for weights the step of their grid, for biases
/// that of the grid behind their layer. Nothing for others.
std::map<std::string, double> parameter_units(const Graph& quantized);

/// The network on the grids that were learned: every Tqt and Pact becomes a FakeQuant, after a Clip where Pact cuts
/// below its last code; biases follow. Lsq stays: its
/// steps are no fixed-point grids.
Graph frozen_graph(const Graph& training);

enum class QuantizerRole { activation, weights, bias };

/// One quantizer of a graph, learning or not.
struct QuantizerSite {
  int node = 0;
  QuantizerRole role = QuantizerRole::activation;
  ValueId value{};                 ///< what it quantizes; of a MergedQuant the float path's
  std::optional<ValueId> learned;  ///< the parameter it reads
};

/// TI's batch norm in training [docs/ti.md 2.3]: beside the quantized path of `quantized`, whose parameters become
/// merges of the layers' own with the running statistics, goes a float path with the batch norms of `network` on batch
/// statistics, which carries the gradient. Layers without a batch norm stay as training_graph() makes them ("fixed").
/// Weights start at what `quantized` holds, biases too, whatever was done to them. Where nothing was done, outputs in
/// inference are those of `quantized`, bit by bit, and frozen_graph() gives it back.
/// A network without batch norms has nothing to merge: the result is `quantized`.
/// @throws UsageError if the channels of `quantized` have other scales
Graph merged_training_graph(const Graph& quantized, const Graph& network);

/// All of them, in the order of the nodes.
std::vector<QuantizerSite> quantizer_sites(const Graph& graph);

bool is_quantizer(const Op& op);

/// The grid of a quantizer; `learned` is what it reads, if anything. None for Lsq.
std::optional<QuantSpec> quantizer_spec(const Op& op, double learned);

/// A bias quantizer, and the quantizers (nodes) of the input and the weights that it is added to.
struct BiasSite {
  int node = 0;
  ValueId bias{};  ///< a parameter or a MergedBias
  int input = 0, weights = 0;
};

/// The elements of a parameter, or of a MergedWeights or MergedBias made of parameters. `elements` gives a parameter's.
Tensor<float> merged_value(const Graph& graph, ValueId id, const std::function<View<const float>(ValueId)>& elements);
std::vector<BiasSite> bias_sites(const Graph& graph);

}  // namespace binade
