// The state of an import and the view that a handler has of its node.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <onnx/onnx_pb.h>

#include "core/base/error.hpp"
#include "core/graph/graph.hpp"
#include "core/io/onnx/values.hpp"

namespace binade::importer {

/// A reason that may only come from the guessed shape of an earlier node that failed; then it is not reported.
class Misfit : public DataError {
 public:
  using DataError::DataError;
};

/// The largest tensor that a network may make, in elements of one image: 1 GiB of float.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;
/// The largest extent, kernel, stride or pad that is believed.
inline constexpr std::int64_t kMaxExtent = 1 << 20;

/// The graph under construction and what is known about every ONNX value.
class Importer {
 public:
  Importer(const ::onnx::GraphProto& proto, int opset, std::size_t file_bytes);

  Graph& graph() { return graph_; }
  int opset() const { return opset_; }
  const ::onnx::GraphProto& proto() const { return proto_; }
  /// The batch extent that the file fixes, or kBatch.
  std::int64_t batch() const { return batch_; }
  void set_batch(std::int64_t batch) { batch_ = batch; }

  /// What is known of a value; null if nothing made it. Initializers are decoded on first use.
  const Known* find(const std::string& name);
  bool is_initializer(const std::string& name) const { return initializers_.contains(name); }
  /// @throws DataError if the value was defined before
  void define(const std::string& name, Known known);

  /// Declares a parameter; an equal one of the same wanted name is shared. @throws DataError unless all are finite
  ValueId parameter(const std::string& name, Tensor<float> tensor);
  /// A name that is still free: "name", "name.2", ...
  std::string free_name(const std::string& wanted);
  /// Accounts for copying so many elements: files whose nodes multiply their data are refused. @throws DataError
  void spend(std::int64_t elements);
  /// The shape that the file itself declares for a value, or null.
  const ::onnx::TensorShapeProto* declared_shape(const std::string& name) const;

 private:
  const ::onnx::GraphProto& proto_;
  Graph graph_;
  int opset_;
  std::int64_t batch_ = kBatch;
  std::int64_t budget_;
  std::unordered_map<std::string, const ::onnx::TensorProto*> initializers_;
  std::unordered_map<std::string, const ::onnx::TensorShapeProto*> declared_;
  std::unordered_map<std::string, Known> values_;
  std::unordered_map<std::string, std::vector<ValueId>> parameters_;
  std::unordered_map<std::string, int> suffixes_;
};

/// One ONNX node: its attributes and inputs with complete error messages, and the ways to say what it becomes.
class NodeView {
 public:
  NodeView(Importer& importer, const ::onnx::NodeProto& proto);

  Importer& importer() const { return importer_; }
  Graph& graph() const { return importer_.graph(); }
  const ::onnx::NodeProto& proto() const { return proto_; }
  const std::string& op() const { return proto_.op_type(); }
  /// The node's name, or the name of its first output if it has none.
  const std::string& name() const { return name_; }
  int opset() const { return importer_.opset(); }

  // Attributes. A wrong type, a number that is not finite or an absurd extent throws DataError.
  const ::onnx::AttributeProto* attribute(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  double real(std::string_view name, double fallback) const;
  std::string text(std::string_view name, std::string fallback) const;
  /// Empty if absent. Every element is within +-kMaxExtent, or saturated to it when `saturate`.
  std::vector<int> integers(std::string_view name, bool saturate = false) const;

  // Inputs.
  int inputs() const { return proto_.input_size(); }
  bool has_input(int i) const { return i < inputs() && !proto_.input(i).empty(); }
  const std::string& input_name(int i) const { return proto_.input(i); }
  bool is_constant(int i) const;
  const Activation& activation(int i) const;
  /// `what` names the input's role in messages ("weight").
  const Constant& constant(int i, std::string_view what) const;
  /// A constant of integers as int, saturated to +-kMaxExtent (ONNX writes INT64_MAX for "to the end").
  std::vector<int> integer_list(int i, std::string_view what) const;
  /// An activation input in the order n, c, h, w, or n, c, w; axes of extent 1 are renamed where that helps.
  Activation image(int i) const;
  /// Any reads of a guessed value.
  bool reads_guess() const;

  // Results.
  /// Appends an op; the name is the node's, with `suffix`. Sizes are checked.
  ValueId add(Op op, std::vector<ValueId> in, std::string_view suffix = "") const;
  /// The first output is `like` with another value.
  void result(ValueId id, const Activation& like) const;
  void result(int output, Known known) const;
  /// The most frequent case: an op of one activation that changes no layout.
  void unary(Op op) const;
  /// The first output is the first input.
  void alias() const;
  /// The same for an operator that is left out because it does not change the order of the classes. Only the end of the
  /// network, and operators without arithmetic, may read it.
  void ending() const;
  /// A parameter under the name of input `i`, if that is an initializer, else the node's name with `suffix`.
  ValueId parameter(int i, std::string_view suffix, Tensor<float> tensor) const;
  /// A parameter {1, 1, 1, c} from input `i`, reordered like the channels of `like`; scaled by `factor`.
  ValueId channel_parameter(int i, std::string_view what, const Activation& like) const;

 private:
  Importer& importer_;
  const ::onnx::NodeProto& proto_;
  std::string name_;
};

using Handler = void (*)(const NodeView&);
struct HandlerEntry {
  std::string_view op;
  Handler import;
};

// The tables of operators, one per concern.
std::span<const HandlerEntry> convolution_handlers();
std::span<const HandlerEntry> matrix_handlers();
std::span<const HandlerEntry> activation_handlers();
std::span<const HandlerEntry> function_handlers();
std::span<const HandlerEntry> arithmetic_handlers();
std::span<const HandlerEntry> geometry_handlers();
std::span<const HandlerEntry> pooling_handlers();
std::span<const HandlerEntry> resize_handlers();
std::span<const HandlerEntry> layout_handlers();
std::span<const HandlerEntry> join_handlers();
std::span<const HandlerEntry> selection_handlers();
std::span<const HandlerEntry> reduction_handlers();

/// Computes a node whose inputs are constants (or shapes) and defines its result. False: it is not such a node.
bool fold_constants(const NodeView& node);

/// Writes decomposed operators as one: hard swish, bias additions, chains of clips.
Graph join_patterns(const Graph& graph);

// Helpers that several handlers share.

/// Row-major strides of dims.
Dims strides(const Dims& dims);
/// A constant as a tensor that broadcasts against `like`, in NHWC order. @throws DataError if its axes do not fit
Tensor<float> broadcast_tensor(const NodeView& node, const Constant& constant, const Activation& like);
/// The same for a constant whose channels need not fit those of `like`: extents of h, w and c as the constant has them.
Tensor<float> axes_tensor(const NodeView& node, const Constant& constant, const Activation& like);
/// The position of a possibly negative axis. @throws Misfit if it is outside
std::size_t resolve_axis(std::int64_t axis, const Activation& x);
/// Which of `rank` axes are listed. @throws Misfit if one is outside
std::vector<bool> marked(const std::vector<int>& axes, std::size_t rank);
/// What Slice calls an axis of pixels or channels.
int slice_axis(Axis axis);
/// The elements as float. @throws DataError for a symbolic batch
std::vector<float> to_reals(const Constant& constant);

/// Spatial window: kernel, stride, dilation and pads of a convolution or pool.
struct Window {
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};
/// Reads strides, dilations, pads and auto_pad (which needs the input's extents). An input of three axes (n, c, w) has
/// windows of height 1.
Window read_window(const NodeView& node, int kernel_h, int kernel_w, const Activation& x);
/// Height and width, or width alone: how many numbers a window's attributes have.
inline std::size_t spatial_axes(const Activation& x) {
  return x.axes.size() - 2;
}

}  // namespace binade::importer
