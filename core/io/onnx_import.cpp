// Imports an ONNX file: input, nodes in order, output, patterns, metadata. All problems are reported together.
#include "core/io/onnx_import.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "core/io/onnx/ends.hpp"
#include "core/io/onnx/external_data.hpp"
#include "core/io/onnx/importer.hpp"
#include "core/io/onnx/metadata.hpp"
#include "core/io/onnx/node_order.hpp"
#include "core/io/onnx/proto.hpp"
#include "core/io/onnx_export.hpp"
#include "core/io/read_file.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

using namespace importer;

std::vector<HandlerEntry> all_handlers() {
  std::vector<HandlerEntry> all;
  for (const auto& table : {convolution_handlers(), matrix_handlers(), activation_handlers(), function_handlers(),
                            arithmetic_handlers(), geometry_handlers(), pooling_handlers(), resize_handlers(),
                            layout_handlers(), join_handlers(), selection_handlers(), reduction_handlers()}) {
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
  return "the operator is not supported";
}

/// Files of ours say it: extents alone can mislead.
bool says_channels_first(const ::onnx::ModelProto& proto) {
  const auto& said = proto.metadata_props();
  return std::any_of(said.begin(), said.end(),
                     [](const auto& entry) { return entry.key() == "input_layout" && entry.value() == "NCHW"; });
}

/// Nothing computes with what follows an operator that was left out at the end.
void check_ending(const NodeView& node) {
  static const std::unordered_set<std::string> kNoArithmetic{"ArgMax",  "Identity",  "Cast",    "Squeeze",
                                                             "Reshape", "Unsqueeze", "Flatten", "Transpose"};
  if (kNoArithmetic.contains(node.op())) return;
  for (int i = 0; i < node.inputs(); ++i) {
    if (!node.has_input(i) || node.is_constant(i)) continue;
    const Known* known = node.importer().find(node.input_name(i));
    const auto* activation = known == nullptr ? nullptr : std::get_if<Activation>(known);
    if (activation == nullptr || activation->ending.empty()) continue;
    throw DataError(fmt::format("it reads '{}', which {} makes; {} is supported at the end of the network only",
                                node.input_name(i), activation->ending, activation->ending));
  }
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
  check_ending(node);
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
/// What cannot be imported: one line per operator and cause.
class Problems {
 public:
  void add(const NodeView& node, const std::string& reason) {
    ++count_;
    for (Line& line : lines_) {
      if (line.op != node.op() || line.reason != reason) continue;
      ++line.nodes;
      return;
    }
    lines_.push_back({.op = node.op(), .first = node.name(), .reason = reason});
  }
  int count() const { return count_; }
  /// A line each, in the order of the nodes.
  std::string text() const {
    std::string text;
    for (const Line& line : lines_) {
      text += line.nodes == 1
                  ? fmt::format("\n  '{}' ({}): {}", line.first, line.op, line.reason)
                  : fmt::format("\n  {}, {} nodes, first '{}': {}", line.op, line.nodes, line.first, line.reason);
    }
    return text;
  }

 private:
  struct Line {
    std::string op, first, reason;
    int nodes = 1;
  };
  std::vector<Line> lines_;
  int count_ = 0;
};

Problems import_nodes(Importer& importer, const Needed& needed) {
  Problems problems;
  const ::onnx::GraphProto& graph = importer.proto();
  for (int i = 0; i < graph.node_size(); ++i) {
    if (!needed.nodes[static_cast<std::size_t>(i)]) continue;
    const NodeView node(importer, graph.node(i));
    const auto report = [&](const DataError& error) {
      std::string reason = error.what();
      reason = reason.substr(0, reason.find("\n  while adding node"));
      problems.add(node, reason);
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
      // Shapes that do not fit after a guess say nothing; everything else does.
      const bool shapes = std::string_view(error.what()).find("while adding node") != std::string_view::npos;
      if (shapes && node.reads_guess())
        guess_outputs(node);
      else
        report(error);
    }
  }
  return problems;
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

Model import_checked(const ::onnx::ModelProto& proto, std::size_t file_bytes, const std::string& origin,
                     const ReadOptions& options) {
  const int opset = standard_opset(proto, origin);
  check_names(proto.graph());
  const std::string output = choose_output(proto.graph(), options);
  Importer importer(proto.graph(), opset, file_bytes);
  declare_input(importer, says_channels_first(proto), options);
  const Problems problems = import_nodes(importer, needed_for_output(proto.graph(), output));
  if (problems.count() > 0) {
    throw DataError(fmt::format("{} of the {} nodes of '{}' cannot be imported:{}", problems.count(),
                                proto.graph().node_size(), origin, problems.text()));
  }
  Model model;
  set_output(importer, output, model.notes);
  model.graph = join_patterns(importer.graph());
  read_metadata(proto, origin, model);
  drop_class_offset(options, model);
  model.notes["format"] = fmt::format("ONNX opset {}", opset);
  return model;
}

/// `folder`: where external data may lie; null: nowhere.
Model import_bytes(std::span<const std::byte> bytes, const std::string& origin, const ReadOptions& options,
                   const std::filesystem::path* folder) {
  ::onnx::ModelProto proto = parse_model(bytes, origin);
  return with_context(fmt::format("importing '{}'", origin), [&] {
    const std::size_t external = folder == nullptr ? 0 : read_external_data(proto, *folder);
    sort_nodes(*proto.mutable_graph());
    return import_checked(proto, bytes.size() + external, origin, options);
  });
}

/// What protobuf reads.
constexpr std::uint64_t kMostOnnxBytes = (std::uint64_t{1} << 31) - 1;

constexpr std::array<std::string_view, 1> kEndings{".onnx"};

void write_float_network(const Model& model, const std::filesystem::path& path) {
  if (is_quantized(model.graph)) {
    throw UsageError("--format onnx is the float network; this one is quantized: export the one it was made from");
  }
  export_onnx(model, path);
}

}  // namespace

Model import_onnx(std::span<const std::byte> bytes, const std::string& origin, const ReadOptions& options) {
  return import_bytes(bytes, origin, options, nullptr);
}

Model import_onnx(const std::filesystem::path& path, const ReadOptions& options) {
  const std::filesystem::path folder = path.parent_path();
  return import_bytes(read_whole_file(path, "an ONNX file", kMostOnnxBytes), path.string(), options, &folder);
}

constinit const ModelFormat kOnnxFormat{
    .name = "onnx",
    .summary = "a float network as ONNX, batch norm unfolded",
    .endings = kEndings,
    .read = [](const std::filesystem::path& path, const ReadOptions& options) { return import_onnx(path, options); },
    .write = write_float_network,
    .file = "network.onnx"};

}  // namespace binade
