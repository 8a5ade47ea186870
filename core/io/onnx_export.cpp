// Exports an ONNX file: input, nodes in order, output, metadata. All problems are reported together.
#include "core/io/onnx_export.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/revision.hpp"
#include "core/io/atomic_file.hpp"
#include "core/io/onnx/exporter.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

constexpr std::int64_t kMaxBytes = (std::int64_t{1} << 31) - (1 << 20);

void add_property(::onnx::ModelProto& proto, const std::string& key, const std::string& value) {
  auto& entry = *proto.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

/// For any reader the formula, for Binade the whole rule.
std::string preprocessing_json(const Preprocessing& preprocessing) {
  nlohmann::ordered_json json;
  if (preprocessing.color != Preprocessing::Color::gray)
    json["color"] = preprocessing.color == Preprocessing::Color::bgr ? "BGR" : "RGB";
  json["formula"] = "(x - mean) / std";
  json["mean"] = preprocessing.mean;
  for (const double scale : preprocessing.scale) json["std"].push_back(1 / scale);
  json["binade"] = to_string(preprocessing);
  return json.dump();
}

void add_metadata(::onnx::ModelProto& proto, const Model& model) {
  add_property(proto, "name", model.name);
  add_property(proto, "task", model.task == Task::segmentation ? "segmentation" : "classification");
  if (!model.classes.empty()) add_property(proto, "classes", nlohmann::json(model.classes).dump());
  add_property(proto, "input_layout", "NCHW");
  add_property(proto, "preprocessing", preprocessing_json(model.preprocessing));
  for (const auto& [key, value] : model.notes) {
    if (key != "format" && key != "preprocessing") add_property(proto, key, value);
  }
}

/// Nodes in order; one line in `problems` for each that cannot be exported.
void export_nodes(exporter::Exporter& to, std::vector<std::string>& problems) {
  for (const Node& node : to.graph().nodes()) {
    try {
      exporter::export_node(to, node);
    } catch (const DataError& error) {
      problems.push_back(fmt::format("  '{}' ({}): {}", node.name, op_name(node.op), error.what()));
    }
  }
}

std::string bytes_of(const Model& model, exporter::QuantizerForm form) {
  const Graph& graph = model.graph;
  std::int64_t elements = 0;
  for (const ValueId id : graph.parameters()) elements += graph.shape(id).count();
  if (elements > kMaxBytes / 4) {
    throw DataError(fmt::format("'{}' has {} parameters; an ONNX file is limited to 2 GiB", model.name, elements));
  }
  if (graph.inputs().size() != 1)
    throw DataError(fmt::format("'{}' has {} inputs, want 1", model.name, graph.inputs().size()));
  ::onnx::ModelProto proto;
  proto.mutable_graph()->set_name(model.name);
  exporter::Exporter to(graph, *proto.mutable_graph(), form);
  to.input(graph.inputs()[0]);
  std::vector<std::string> problems;
  export_nodes(to, problems);
  if (!problems.empty()) {
    std::string text = fmt::format("{} of the {} nodes of '{}' cannot be exported:", problems.size(),
                                   graph.nodes().size(), model.name);
    for (const std::string& problem : problems) text += "\n" + problem;
    throw DataError(text);
  }
  to.output(graph.output());
  proto.set_ir_version(to.opset() < 21 ? 8 : 10);
  proto.set_producer_name("binade");
  proto.set_producer_version(std::string(revision()));
  proto.add_opset_import()->set_version(to.opset());
  add_metadata(proto, model);
  return proto.SerializeAsString();
}

void export_quantized(const Model& model, const std::filesystem::path& path, exporter::QuantizerForm form) {
  if (!is_quantized(model.graph)) {
    throw UsageError(
        fmt::format("'{}' is not quantized; quantize it first, with `binade ptq`, `calibrate` or `qat`", model.name));
  }
  write_file_atomically(path, bytes_of(model, form));
}

}  // namespace

std::string onnx_bytes(const Model& model) {
  return bytes_of(model, exporter::QuantizerForm::none);
}

void export_onnx(const Model& model, const std::filesystem::path& path) {
  write_file_atomically(path, onnx_bytes(model));
}

constinit const ModelFormat kOnnxQdqFormat{
    .name = "onnx-qdq",
    .summary = "a quantized network as ONNX with QuantizeLinear and DequantizeLinear",
    .write = [](const Model& model,
                const std::filesystem::path& path) { export_quantized(model, path, exporter::QuantizerForm::qdq); },
    .file = "network_qdq.onnx"};

constinit const ModelFormat kOnnxClipFormat{
    .name = "onnx-clip",
    .summary = "a quantized network as float ONNX with a Clip per range and weights on their grids, for TIDL",
    .write = [](const Model& model,
                const std::filesystem::path& path) { export_quantized(model, path, exporter::QuantizerForm::clip); },
    .file = "network_clip.onnx"};

}  // namespace binade
