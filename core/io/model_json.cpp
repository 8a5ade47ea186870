// The structure of a model as JSON: values in their order, so that a graph is read back with the same ids.
#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/json_text.hpp"
#include "core/io/op_json.hpp"

namespace binade {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr std::int64_t kMaxExtent = 1 << 24, kMaxElements = std::int64_t{1} << 28;

json shape_to_json(const Shape& s) {
  return {s.n, s.h, s.w, s.c};
}

void check_shape(const Shape& s, const std::string& name) {
  std::int64_t count = 1;
  for (const int extent : {s.n, s.h, s.w, s.c}) {
    if (extent < 1 || extent > kMaxExtent || count > kMaxElements / extent) {
      throw DataError(fmt::format("'{}' has the absurd shape {}", name, to_string(s)));
    }
    count *= extent;
  }
}

const json& member(const json& j, const char* key) {
  if (!j.is_object() || !j.contains(key)) throw DataError(fmt::format("'{}' is missing", key));
  return j[key];
}

std::string text(const json& j, const char* key) {
  const json& found = member(j, key);
  if (!found.is_string()) throw DataError(fmt::format("'{}' is {}, want text", key, quoted(found)));
  return found.get<std::string>();
}

const json& list(const json& j, const char* key) {
  const json& found = member(j, key);
  if (!found.is_array()) throw DataError(fmt::format("'{}' is not a list", key));
  return found;
}

std::int64_t integer(const json& j, std::int64_t lo, std::int64_t hi, std::string_view what) {
  const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  if (!j.is_number_integer() || huge || j.get<std::int64_t>() < lo || j.get<std::int64_t>() > hi) {
    throw DataError(fmt::format("{} is {}, want an integer in {} .. {}", what, quoted(j), lo, hi));
  }
  return j.get<std::int64_t>();
}

Shape shape_from_json(const json& j, const std::string& name) {
  if (!j.is_array() || j.size() != 4) throw DataError(fmt::format("the shape of '{}' is not four extents", name));
  const auto at = [&](std::size_t i) {
    return static_cast<int>(integer(j[i], 1, kMaxExtent, "an extent of '" + name + "'"));
  };
  const Shape shape{at(0), at(1), at(2), at(3)};
  check_shape(shape, name);
  return shape;
}

json graph_to_json(const Graph& graph) {
  json values = json::array();
  for (const Value& value : graph.values()) {
    json entry = {{"name", value.name}};
    if (value.kind == ValueKind::result) {
      const Node& node = graph.nodes()[static_cast<std::size_t>(value.node)];
      try {
        entry.update(op_to_json(node.op));
      } catch (const DataError& error) {
        throw DataError(fmt::format("node '{}' ({}): {}", node.name, op_name(node.op), error.what()));
      }
      for (const ValueId id : node.in) entry["in"].push_back(index_of(id));
    } else {
      entry["kind"] = value.kind == ValueKind::input ? "input" : "parameter";
      entry["shape"] = shape_to_json(value.shape);
    }
    values.push_back(std::move(entry));
  }
  return {{"values", values}, {"output", index_of(graph.output())}};
}

void add_value(const json& entry, Graph& graph, std::set<std::string>& names) {
  const std::string name = text(entry, "name");
  if (name.empty() || !names.insert(name).second)
    throw DataError(fmt::format("the name '{}' is empty or used twice", name));
  if (entry.contains("kind")) {
    const std::string kind = text(entry, "kind");
    const Shape shape = shape_from_json(member(entry, "shape"), name);
    if (kind == "input" && shape.n == 1) {
      graph.input(name, shape);
    } else if (kind == "parameter") {
      graph.parameter(name, Tensor<float>(shape));
    } else {
      throw DataError(fmt::format("'{}' is of kind '{}' with shape {}", name, kind, to_string(shape)));
    }
    return;
  }
  const auto count = static_cast<std::int64_t>(graph.values().size());
  std::vector<ValueId> in;
  for (const json& j : list(entry, "in"))
    in.push_back(static_cast<ValueId>(integer(j, 0, count - 1, "an input of node '" + name + "'")));
  const ValueId out = with_context(fmt::format("reading node '{}'", name),
                                   [&] { return graph.add(name, op_from_json(entry), std::move(in)); });
  check_shape(graph.shape(out), name);
}

/// Whatever depends on the image has its batch, one here; the output does depend on it. Executors rely on both: values
/// of parameters alone (quantized weights) keep extents of their own.
void check_batch(const Graph& graph) {
  std::vector<bool> moves(graph.values().size());
  for (const ValueId id : graph.inputs()) moves[index_of(id)] = true;
  for (const Node& node : graph.nodes()) {
    const bool moving = std::any_of(node.in.begin(), node.in.end(), [&](ValueId id) { return moves[index_of(id)]; });
    moves[index_of(node.out)] = moving;
    if (moving && graph.shape(node.out).n != 1) {
      throw DataError(fmt::format("node '{}' makes {} of one image", node.name, to_string(graph.shape(node.out))));
    }
  }
  if (!moves[index_of(graph.output())]) throw DataError("the output does not depend on the image");
}

Graph graph_from_json(const json& j) {
  Graph graph;
  std::set<std::string> names;
  // All parameters together must be believable before the first of them is allocated.
  std::int64_t elements = 0;
  for (const json& entry : list(j, "values")) {
    if (!entry.is_object() || !entry.contains("kind") || entry["kind"] != "parameter") continue;
    elements += shape_from_json(member(entry, "shape"), text(entry, "name")).count();
    if (elements > kMaxElements) throw DataError("its parameters are absurdly large");
  }
  for (const json& entry : list(j, "values")) add_value(entry, graph, names);
  if (graph.inputs().empty()) throw DataError("the network has no input");
  graph.set_output(static_cast<ValueId>(
      integer(member(j, "output"), 0, static_cast<std::int64_t>(graph.values().size()) - 1, "the output")));
  check_batch(graph);
  return graph;
}

}  // namespace

std::string model_to_json(const Model& model) {
  const json j = {{"format", kFormat},
                  {"name", model.name},
                  {"task", model.task == Task::segmentation ? "segmentation" : "classification"},
                  {"preprocessing", to_string(model.preprocessing)},
                  {"classes", model.classes},
                  {"notes", model.notes},
                  {"graph", graph_to_json(model.graph)}};
  try {
    return j.dump(1);
  } catch (const json::exception& error) {
    throw DataError(fmt::format("the model '{}' holds a name or a note that is not UTF-8 text", model.name));
  }
}

Model model_from_json(const std::string& content) {
  const auto j = parse_json(content, "the description of the model");
  if (!j.is_object()) throw DataError("the description of the model is no object");
  const std::int64_t format = integer(member(j, "format"), 1, 1 << 20, "the format");
  if (format > kFormat) {
    throw DataError(fmt::format("it has format {}, this program reads up to {}; it was written by a newer version",
                                format, kFormat));
  }
  Model model;
  model.name = text(j, "name");
  const std::string task = text(j, "task");
  if (task != "segmentation" && task != "classification")
    throw DataError(fmt::format("the task '{}' is unknown", task));
  model.task = task == "segmentation" ? Task::segmentation : Task::classification;
  model.preprocessing = parse_preprocessing(text(j, "preprocessing"));
  for (const json& name : list(j, "classes")) {
    if (!name.is_string()) throw DataError("a class name is no text");
    model.classes.push_back(name.get<std::string>());
  }
  const json& notes = member(j, "notes");
  if (!notes.is_object()) throw DataError("'notes' is no object");
  for (const auto& [key, value] : notes.items()) {
    if (!value.is_string()) throw DataError(fmt::format("the note '{}' is no text", key));
    model.notes[key] = value.get<std::string>();
  }
  model.graph = graph_from_json(member(j, "graph"));
  return model;
}

}  // namespace binade
