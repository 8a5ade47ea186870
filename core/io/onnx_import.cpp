// Imports an ONNX file: input, nodes in order, output, patterns, metadata. All problems are reported together.
#include "core/io/onnx_import.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"
#include "core/io/onnx/metadata.hpp"
#include "core/io/onnx/proto.hpp"
#include "core/io/onnx_export.hpp"
#include "core/io/read_file.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

using namespace importer;

std::vector<HandlerEntry> all_handlers() {
  std::vector<HandlerEntry> all;
  for (const auto& table : {convolution_handlers(), matrix_handlers(), activation_handlers(), arithmetic_handlers(),
                            geometry_handlers(), pooling_handlers(), resize_handlers(), layout_handlers()}) {
    all.insert(all.end(), table.begin(), table.end());
  }
  return all;
}

Handler find_handler(const std::string& op) {
  static const std::vector<HandlerEntry> all = all_handlers();
  const auto found = std::find_if(all.begin(), all.end(), [&](const HandlerEntry& entry) { return entry.op == op; });
  return found == all.end() ? nullptr : found->import;
}

std::string why_unknown(const NodeView& node) {
  const std::string& op = node.op();
  const std::string& domain = node.proto().domain();
  if (!domain.empty() && domain != "ai.onnx")
    return fmt::format("it belongs to the domain '{}'; only standard operators are supported", domain);
  if (op == "QuantizeLinear" || op == "DequantizeLinear" || op == "QLinearConv" || op == "ConvInteger") {
    return "the file is quantized already; Binade wants the float network";
  }
  if (op == "If" || op == "Loop" || op == "Scan")
    return "control flow is not supported; export the model with fixed shapes";
  if (op == "ArgMax")
    return "the operator is not supported; export the network without it, Binade takes the argmax itself";
  return "the operator is not supported";
}

std::string text_of(const ::onnx::TensorShapeProto& shape) {
  std::string text = "[";
  for (const auto& dim : shape.dim()) {
    if (text.size() > 1) text += ", ";
    text += dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param().empty() ? "?" : dim.dim_param();
  }
  return text + "]";
}

/// The single input that is not an initializer.
const ::onnx::ValueInfoProto& find_input(const Importer& importer) {
  std::vector<const ::onnx::ValueInfoProto*> inputs;
  std::string names;
  for (const auto& input : importer.proto().input()) {
    if (importer.is_initializer(input.name())) continue;
    inputs.push_back(&input);
    names += (names.empty() ? "'" : ", '") + input.name() + "'";
  }
  if (inputs.empty()) throw DataError("the network has no input");
  if (inputs.size() > 1)
    throw DataError(fmt::format("the network has {} inputs ({}); want one, the image", inputs.size(), names));
  return *inputs[0];
}

/// Whether a 4-axis input is [batch, height, width, channels]: what TensorFlow converters keep.
bool is_channels_last(const Importer& importer, const std::string& input, const ::onnx::TensorShapeProto& shape) {
  for (const auto& node : importer.proto().node()) {
    if (node.input_size() == 0 || node.input(0) != input) continue;
    // A layer that reads the input itself takes ONNX's own order; a transposition says what it was before.
    if (node.op_type() == "Conv" || node.op_type().ends_with("Pool") || node.op_type() == "BatchNormalization")
      return false;
    for (const auto& attribute : node.attribute()) {
      const auto is = [&](int i, std::int64_t axis) { return attribute.ints(i) == axis; };
      if (attribute.name() == "perm" && attribute.ints_size() == 4 && is(1, 3) && is(2, 1) && is(3, 2)) return true;
    }
  }
  const auto like_channels = [&](int i) { return shape.dim(i).dim_value() == 1 || shape.dim(i).dim_value() == 3; };
  return like_channels(3) && !like_channels(1);
}

/// Files of ours say it: extents alone can mislead.
bool says_channels_first(const ::onnx::ModelProto& proto) {
  const auto& said = proto.metadata_props();
  return std::any_of(said.begin(), said.end(),
                     [](const auto& entry) { return entry.key() == "input_layout" && entry.value() == "NCHW"; });
}

void declare_input(Importer& importer, bool channels_first) {
  const ::onnx::ValueInfoProto& input = find_input(importer);
  const int type = input.type().tensor_type().elem_type();
  using Type = ::onnx::TensorProto;
  if (!input.type().has_tensor_type() ||
      (type != Type::FLOAT && type != Type::FLOAT16 && type != Type::DOUBLE && type != Type::BFLOAT16)) {
    throw DataError(fmt::format("its input '{}' has elements of {}; want float32", input.name(), type_name(type)));
  }
  const ::onnx::TensorShapeProto& shape = input.type().tensor_type().shape();
  const int rank = shape.dim_size();
  if (rank != 2 && rank != 4) {
    throw DataError(fmt::format("its input '{}' has the extents {}; want [batch, channels, height, width]",
                                input.name(), text_of(shape)));
  }
  std::int64_t count = 1;
  for (int i = 1; i < rank; ++i) {
    const std::int64_t extent = shape.dim(i).dim_value();
    if (!shape.dim(i).has_dim_value() || extent < 1) {
      throw DataError(
          fmt::format("its input '{}' has no fixed size: {}. Only the batch may vary; export the model with the size "
                      "of its images",
                      input.name(), text_of(shape)));
    }
    if (extent > kMaxExtent || count > kMaxElements / extent) {
      throw DataError(fmt::format("its input '{}' has the extents {}, which is absurd", input.name(), text_of(shape)));
    }
    count *= extent;
  }
  if (shape.dim(0).has_dim_value() && shape.dim(0).dim_value() > 0) importer.set_batch(shape.dim(0).dim_value());
  Activation activation{.axes = rank == 2 ? std::vector{Axis::n, Axis::c}
                                : !channels_first && is_channels_last(importer, input.name(), shape) ? kNhwc
                                                                                                     : kNchw};
  Shape extents;
  for (int i = 1; i < rank; ++i)
    extent(extents, activation.axes[static_cast<std::size_t>(i)]) = static_cast<int>(shape.dim(i).dim_value());
  activation.id = importer.graph().input(importer.free_name(input.name()), extents);
  importer.define(input.name(), activation);
}

/// Which nodes the output depends on, and which values those nodes read.
struct Needed {
  std::vector<bool> nodes;
  std::unordered_set<std::string> values;
};

Needed needed_for_output(const ::onnx::GraphProto& graph) {
  Needed needed{std::vector<bool>(static_cast<std::size_t>(graph.node_size())), {graph.output(0).name()}};
  for (int i = graph.node_size(); i-- > 0;) {
    const auto& node = graph.node(i);
    const bool wanted = std::any_of(node.output().begin(), node.output().end(), [&](const std::string& name) {
      return !name.empty() && needed.values.contains(name);
    });
    if (!wanted) continue;
    needed.nodes[static_cast<std::size_t>(i)] = true;
    needed.values.insert(node.input().begin(), node.input().end());
  }
  return needed;
}

void import_node(const NodeView& node, const Needed& needed) {
  const std::string& domain = node.proto().domain();
  const Handler handler = domain.empty() || domain == "ai.onnx" ? find_handler(node.op()) : nullptr;
  for (int i = 1; i < node.proto().output_size() && node.op() != "Split"; ++i) {
    if (handler != nullptr && needed.values.contains(node.proto().output(i))) {
      throw DataError(fmt::format("its output {}, '{}', is read by another node; only the first output is supported", i,
                                  node.proto().output(i)));
    }
  }
  if (domain.empty() || domain == "ai.onnx") {
    if (fold_constants(node)) return;
  }
  if (handler == nullptr) throw DataError(why_unknown(node));
  handler(node);
}

/// Gives the outputs of a node that failed a shape, so that the nodes behind it can be checked too.
void guess_outputs(const NodeView& node) {
  Importer& importer = node.importer();
  Activation like{.axes = kNchw, .guessed = true};
  Shape shape;
  for (int i = 0; i < node.inputs(); ++i) {
    const Known* known =
        node.has_input(i) && !importer.is_initializer(node.input_name(i)) ? importer.find(node.input_name(i)) : nullptr;
    if (known == nullptr || !std::holds_alternative<Activation>(*known)) continue;
    like = std::get<Activation>(*known);
    like.guessed = true;
    shape = importer.graph().shape(like.id);
    break;
  }
  for (const std::string& name : node.proto().output()) {
    if (name.empty() || importer.find(name) != nullptr) continue;
    Activation made = like;
    Shape extents = shape;
    if (const auto* declared = importer.declared_shape(name);
        declared != nullptr && (declared->dim_size() == 4 || declared->dim_size() == 2)) {
      made.axes = declared->dim_size() == 2 ? std::vector{Axis::n, Axis::c} : kNchw;
      extents = Shape{};
      for (int i = 1; i < declared->dim_size(); ++i) {
        extent(extents, made.axes[static_cast<std::size_t>(i)]) =
            static_cast<int>(std::clamp<std::int64_t>(declared->dim(i).dim_value(), 1, 4096));
      }
      made.flattened.clear();
    }
    made.id = importer.graph().input(importer.free_name(name), extents);
    importer.define(name, made);
  }
}

/// One line per node that cannot be imported; empty if all went well.
std::vector<std::string> import_nodes(Importer& importer) {
  std::vector<std::string> problems;
  const ::onnx::GraphProto& graph = importer.proto();
  const Needed needed = needed_for_output(graph);
  for (int i = 0; i < graph.node_size(); ++i) {
    if (!needed.nodes[static_cast<std::size_t>(i)]) continue;
    const NodeView node(importer, graph.node(i));
    const auto report = [&](const DataError& error) {
      std::string reason = error.what();
      reason = reason.substr(0, reason.find("\n  while adding node"));
      problems.push_back(fmt::format("  '{}' ({}): {}", node.name(), node.op(), reason));
      guess_outputs(node);
    };
    try {
      import_node(node, needed);
    } catch (const Misfit& error) {
      if (!node.reads_guess())
        report(error);
      else
        guess_outputs(node);
    } catch (const DataError& error) {
      // Shapes that do not fit behind a guess say nothing; everything else does.
      const bool shapes = std::string_view(error.what()).find("while adding node") != std::string_view::npos;
      if (shapes && node.reads_guess())
        guess_outputs(node);
      else
        report(error);
    }
  }
  return problems;
}

void set_output(Importer& importer, std::map<std::string, std::string>& notes) {
  const auto& outputs = importer.proto().output();
  const Known* known = importer.find(outputs[0].name());
  if (known == nullptr)
    throw DataError(fmt::format("its output '{}' is made by no node; the file is damaged", outputs[0].name()));
  const auto* activation = std::get_if<Activation>(known);
  if (activation == nullptr || importer.graph().producer(activation->id) == nullptr) {
    throw DataError(fmt::format("its output '{}' does not depend on any layer", outputs[0].name()));
  }
  if (!activation->flattened.empty()) {
    throw DataError(
        fmt::format("its output '{}' is a flattened feature map, whose order differs from Binade's; let the "
                    "network end before the Flatten",
                    outputs[0].name()));
  }
  importer.graph().set_output(activation->id);
  if (outputs.size() > 1) {
    std::string others;
    for (int i = 1; i < outputs.size(); ++i) others += (i > 1 ? ", " : "") + outputs[i].name();
    notes["outputs"] = fmt::format("'{}' is used; ignored: {}", outputs[0].name(), others);
  }
}

void check_names(const ::onnx::GraphProto& graph) {
  bool good = true;
  for (const auto& node : graph.node()) {
    good = good && is_utf8(node.name()) && is_utf8(node.op_type()) && is_utf8(node.domain());
    for (const std::string& name : node.input()) good = good && is_utf8(name);
    for (const std::string& name : node.output()) good = good && is_utf8(name);
  }
  for (const auto& input : graph.input()) good = good && is_utf8(input.name());
  if (!good) throw DataError("its names are not UTF-8 text; the file is damaged");
}

Model import_checked(const ::onnx::ModelProto& proto, std::size_t file_bytes, const std::string& origin) {
  const int opset = standard_opset(proto, origin);
  check_names(proto.graph());
  if (proto.graph().output_size() == 0) throw DataError("the network has no output; the file is damaged or cut off");
  Importer importer(proto.graph(), opset, file_bytes);
  declare_input(importer, says_channels_first(proto));
  const std::vector<std::string> problems = import_nodes(importer);
  if (!problems.empty()) {
    std::string text = fmt::format("{} of the {} nodes of '{}' cannot be imported:", problems.size(),
                                   proto.graph().node_size(), origin);
    for (const std::string& problem : problems) text += "\n" + problem;
    throw DataError(text);
  }
  Model model;
  set_output(importer, model.notes);
  model.graph = join_patterns(importer.graph());
  read_metadata(proto, origin, model);
  model.notes["format"] = fmt::format("ONNX opset {}", opset);
  return model;
}

constexpr std::array<std::string_view, 1> kEndings{".onnx"};

void write_float_network(const Model& model, const std::filesystem::path& path) {
  if (is_quantized(model.graph)) {
    throw UsageError("--format onnx is the float network; this one is quantized: export the one it was made from");
  }
  export_onnx(model, path);
}

}  // namespace

Model import_onnx(std::span<const std::byte> bytes, const std::string& origin) {
  const ::onnx::ModelProto proto = parse_model(bytes, origin);
  return with_context(fmt::format("importing '{}'", origin),
                      [&] { return import_checked(proto, bytes.size(), origin); });
}

Model import_onnx(const std::filesystem::path& path) {
  return import_onnx(read_whole_file(path, "an ONNX file"), path.string());
}

constinit const ModelFormat kOnnxFormat{.name = "onnx",
                                        .summary = "a float network as ONNX, batch norm unfolded",
                                        .endings = kEndings,
                                        .read = [](const std::filesystem::path& path) { return import_onnx(path); },
                                        .write = write_float_network,
                                        .file = "network.onnx"};

}  // namespace binade
