// Where quantizers go (TI's placement rules), how they get into a graph, and how their grids are changed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/fixed_point.hpp"
#include "core/graph/graph.hpp"

namespace binade {

/// Grids by the name of the value they belong to.
using SpecMap = std::map<std::string, QuantSpec, std::less<>>;

/// The activations that get a quantizer: the inputs; and every result but these: one whose only reader is an
/// activation function (the quantizer goes behind that), one that keeps the grid of its input, and constants.
/// @source TI's placement [docs/ti.md 2.2]; beyond it, pools, resizes and softmax are quantized as the device does
std::vector<ValueId> quantized_values(const Graph& graph);

/// The parameters that get a quantizer as weights: those of Conv2d, ConvTranspose2d and Linear, PRelu's slopes, and
/// parameter operands of Add and Mul. Biases are not among them: their grid follows from weights and input.
std::vector<ValueId> quantized_weights(const Graph& graph);

struct QuantizerOptions {
  Rounding weights = Rounding::half_away;
  Rounding biases = Rounding::half_away;
  Rounding activations = Rounding::half_up;
  Rounding joins = Rounding::half_up;     ///< behind Add, Mul and Concat
  Rounding averages = Rounding::half_up;  ///< behind AvgPool and GlobalAvgPool
  int bias_bits = 32;                     ///< 9..32: at accumulator scale; 2..8: a grid of its own by the bias' maximum
  bool bias_product = false;  ///< biases become what ti_split_bias makes of them, 16 bits at accumulator scale
};

/// Inserts FakeQuant nodes: "<value>.q" behind every value of `specs`, "<parameter>.q" behind every parameter of it,
/// and
/// "<bias>.q" behind the bias of each weighted node whose input and weights lie on grids. Nodes keep their names.
/// Where integers approximate, so does the node from now on: Resize's and Softmax's weights and LeakyRelu's slope.
Graph insert_quantizers(const Graph& graph, const SpecMap& specs, const QuantizerOptions& options);

/// The specs of the FakeQuant nodes that are not bias quantizers, by the name of what they quantize.
SpecMap quantizer_specs(const Graph& quantized);

/// The same graph on other grids: every quantizer named in `specs` gets its new grid, bias grids follow.
Graph with_specs(const Graph& quantized, const SpecMap& specs, const QuantizerOptions& options);

/// Whether it holds FakeQuant nodes.
bool is_quantized(const Graph& graph);

/// The graph without its FakeQuant nodes: the float twin, with the parameters as they are.
Graph without_quantizers(const Graph& quantized);

/// The grid of a bias: the scale of the accumulator of input and weights, or the finest power of two at which it still
/// fits, where that is coarser: no bias saturates. Up to 8 bits its own by its maximum, and not finer than the
/// accumulator, which could not take it.
QuantSpec bias_spec(QuantSpec input, QuantSpec weights, double max_abs_bias, int bits);

}  // namespace binade
