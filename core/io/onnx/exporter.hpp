// The ONNX graph under construction during an export.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>

#include "core/graph/graph.hpp"

namespace binade::exporter {

using Dims = std::vector<std::int64_t>;

/// Adds attributes to a node of the file.
class NodeWriter {
 public:
  explicit NodeWriter(::onnx::NodeProto& proto) : proto_(proto) {}
  NodeWriter& set(std::string_view name, std::int64_t value);
  NodeWriter& set(std::string_view name, int value) { return set(name, std::int64_t{value}); }
  NodeWriter& set(std::string_view name, double value);
  NodeWriter& set(std::string_view name, const Dims& values);
  NodeWriter& set(std::string_view name, std::string_view value);

 private:
  ::onnx::AttributeProto& attribute(std::string_view name);
  ::onnx::NodeProto& proto_;
};

/// What becomes of the quantizers of a graph.
enum class QuantizerForm : std::uint8_t {
  none,  ///< there are none: a float network
  qdq,   ///< QuantizeLinear and DequantizeLinear; weights and biases as integers
  clip,  ///< Clip at the ends of the range; weights and biases as the reals of their grids
};

/// Values are images [N, c, h, w], or flat, [N, c]: what has no pixels can be both, and is made the other on demand.
class Exporter {
 public:
  Exporter(const Graph& graph, ::onnx::GraphProto& proto, QuantizerForm form = QuantizerForm::none);

  const Graph& graph() const { return graph_; }
  QuantizerForm form() const { return form_; }
  /// A parameter, or the result of a parameter's quantizer.
  bool is_constant(ValueId id) const;
  /// Declares the input of the graph.
  void input(ValueId id);
  /// Declares the output: flat if it has no pixels.
  void output(ValueId id);

  /// The value in one of its forms; parameters as they broadcast against it.
  std::string image(ValueId id);
  std::string flat(ValueId id);
  bool is_flat(ValueId id) const;
  /// Has no pixels, so that it can be flat.
  bool can_be_flat(ValueId id) const;

  /// Convolution weights, OIHW (transposed: [ic, oc / groups, kh, kw]).
  std::string kernel(ValueId id);
  std::string transposed_kernel(ValueId id, int groups);
  /// {out, 1, 1, in} as [out, in]; {1, 1, 1, c} as [c].
  std::string matrix(ValueId id);
  std::string vector(ValueId id);
  /// The bias of a weighted node. Of a quantized one: at the scale of its accumulator, which is what runtimes take it
  /// for; as reals if it does not fit there.
  std::string bias(const Node& node);
  /// A constant of the file alone; the name is made free.
  std::string reals(const std::string& name, const Dims& dims, const std::vector<float>& elements);
  std::string integers(const std::string& name, const std::vector<std::int64_t>& elements);

  /// A node that makes the result of `node`.
  NodeWriter add(const Node& node, std::string_view op, const std::vector<std::string>& in, bool flat);
  /// A node in between; its result is called as it is. The name is made free.
  NodeWriter add_helper(const std::string& name, std::string_view op, const std::vector<std::string>& in,
                        std::string& result);
  /// The result of `node` is its input.
  void alias(const Node& node);
  /// QuantizeLinear and DequantizeLinear of `name`; returns the latter's result, called `result` if that is free.
  std::string quantized(const std::string& name, QuantSpec spec, const std::string& result);
  /// The result of `node` is its input on a grid.
  void add_quantizer(const Node& node, QuantSpec spec);
  /// From now on the result of `node`, which is made, is what its codes on the grid `spec` are worth: nothing changes,
  /// but runtimes see that both sides of the node are integers.
  void keep_grid(const Node& node, QuantSpec spec);

  void want_opset(int opset) { opset_ = std::max(opset_, opset); }
  int opset() const { return opset_; }

 private:
  struct Forms {
    std::string image, flat;  ///< empty: not made yet
  };
  std::string free_name(const std::string& wanted);
  std::string parameter(ValueId id, std::string_view form, const Dims& dims, const std::vector<float>& elements);
  /// The elements on a grid as integers, and a DequantizeLinear of them.
  std::string integer_parameter(const std::string& name, const Dims& dims, const std::vector<float>& elements,
                                const FakeQuant& quantizer);
  std::string dequantized(const std::string& name, const Dims& dims, const std::vector<std::int32_t>& codes,
                          QuantSpec spec);
  /// Scale and zero point of a grid; one initializer each per grid and type.
  std::pair<std::string, std::string> grid(QuantSpec spec, bool activation);
  /// The parameter that holds the elements of a constant.
  const Tensor<float>& stored(ValueId id) const;
  const std::string* known(ValueId id, std::string_view form) const;
  static void describe(::onnx::ValueInfoProto& info, const std::string& name, const Dims& dims);

  const Graph& graph_;
  ::onnx::GraphProto& proto_;
  QuantizerForm form_;
  std::vector<Forms> values_;
  std::map<std::pair<std::size_t, std::string_view>, std::string> parameters_;      ///< by value and form
  std::map<std::tuple<int, int, int>, std::pair<std::string, std::string>> grids_;  ///< by frac, type, zero point
  std::set<std::string, std::less<>> names_;
  int opset_ = 13;
};

/// The type of the codes of a grid: 8 or 16 bits, signed or not; 32 bits for biases.
int code_type(QuantSpec spec);

/// A Relu, or a Clip from 0, whose only reader is an unsigned quantizer: that cuts at 0, so that the layer before may
/// be fused with it. Where a Clip ends before the grid does, the quantizer's codes are cut.
bool is_done_by_quantizer(const Graph& graph, const Node& node);

/// Writes one node. @throws DataError with the reason if it has no plain float form
void export_node(Exporter& to, const Node& node);

}  // namespace binade::exporter
