// inspect: what a network consists of and costs, or what the zoo holds.
#include <algorithm>

#include <fmt/format.h>

#include "cli/bind.hpp"
#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/graph/count.hpp"
#include "core/models/models.hpp"
#include "core/passes/quantizers.hpp"
#include "core/report/table.hpp"
#include "experiment/integer.hpp"

namespace binade {
namespace {

using Json = nlohmann::ordered_json;

/// {name, op, output, parameters, macs} per node; parameters that several nodes read count at the first.
Json layers_of(const Graph& graph) {
  Json layers = Json::array();
  std::vector<bool> seen(graph.values().size());
  for (const Node& node : graph.nodes()) {
    std::int64_t parameters = 0;
    for (const ValueId in : node.in) {
      if (graph.is_parameter(in) && !seen[index_of(in)]) parameters += graph.shape(in).count();
      seen[index_of(in)] = true;
    }
    layers.push_back({{"name", node.name},
                      {"op", to_string(node.op)},
                      {"output", to_string(graph.shape(node.out))},
                      {"parameters", parameters},
                      {"macs", count_macs(graph, node)}});
  }
  return layers;
}

/// The line of the zoo, or null.
const ModelEntry* entry_of(const std::string& name) {
  const auto zoo = model_table();
  const auto found = std::find_if(zoo.begin(), zoo.end(), [&](const ModelEntry& entry) { return entry.name == name; });
  return found == zoo.end() ? nullptr : &*found;
}

/// What is the same for a file and a line of the zoo. Parameters as the network's home counts them.
Json summary_of(const std::string& name, const Graph& graph) {
  const ModelEntry* entry = entry_of(name);
  const Macs macs = count_macs(graph);
  std::int64_t stored = 0;
  for (const ValueId id : graph.parameters()) stored += graph.shape(id).count();
  Json summary{{"name", name}, {"input", to_string(graph.shape(graph.inputs().front()))}};
  summary["output"] = to_string(graph.shape(graph.output()));
  summary["layers"] = graph.nodes().size();
  summary["parameters"] = entry == nullptr ? count_parameters(graph) : published_parameters(*entry, graph);
  summary["parameters_trained"] = count_parameters(graph);
  summary["macs"] = macs.convolutions;
  summary["macs_total"] = macs.total();
  for (const int bits : {32, 16, 8}) summary[fmt::format("bytes_{}bit", bits)] = stored * bits / 8;
  return summary;
}

std::string millions(const Json& count) {
  return fmt::format("{:.3f} M", count.get<double>() / 1e6);
}

Table zoo_table(const Json& zoo) {
  Table table{
      .columns = {{"name", false}, {"input", false}, {"classes"}, {"parameters"}, {"MACs (conv)"}, {"MACs (all)"}}};
  for (const Json& model : zoo) {
    table.rows.push_back({model["name"], model["input"], model["classes"].dump(), millions(model["parameters"]),
                          millions(model["macs"]), millions(model["macs_total"])});
  }
  return table;
}

Table layer_table(const Json& model) {
  Table table{.columns = {{"layer", false}, {"op", false}, {"output", false}, {"parameters"}, {"MACs"}}};
  for (const Json& layer : model["layer_list"]) {
    table.rows.push_back(
        {layer["name"], layer["op"], layer["output"], layer["parameters"].dump(), layer["macs"].dump()});
  }
  table.notes.push_back(
      fmt::format("{}: {} layers, {} parameters, {} MACs in convolutions, {} in all; {:.2f} MB at 32 bit, {:.2f} at "
                  "16, {:.2f} at 8.",
                  model["name"].get<std::string>(), model["layers"].get<int>(), millions(model["parameters"]),
                  millions(model["macs"]), millions(model["macs_total"]), model["bytes_32bit"].get<double>() / 1e6,
                  model["bytes_16bit"].get<double>() / 1e6, model["bytes_8bit"].get<double>() / 1e6));
  if (model.contains("program")) {
    const Json& program = model["program"];
    table.notes.push_back(fmt::format(
        "As integers for target '{}': {} instructions, {} bytes of weights, {} bytes for tensors (the fast "
        "engine here: {} and {}); program {}.",
        program["target"].get<std::string>(), program["instructions"].dump(), program["weight_bytes"].dump(),
        program["arena_bytes"].dump(), program["engine_weight_bytes"].dump(), program["engine_arena_bytes"].dump(),
        program["program"].get<std::string>().substr(0, 16)));
  }
  table.notes.push_back("Preprocessing: " + model["preprocessing"].get<std::string>());
  for (const auto& [key, value] : model["notes"].items()) table.notes.push_back(key + ": " + value.get<std::string>());
  return table;
}

Json inspect_zoo() {
  Json zoo = Json::array();
  for (const ModelEntry& entry : model_table()) {
    Json line = summary_of(std::string(entry.name), build_graph(entry, {.random = false}));
    line["classes"] = entry.classes;
    line["summary"] = entry.summary;
    zoo.push_back(std::move(line));
  }
  return zoo;
}

Json inspect_model(const NetworkSource& network, const std::string& target) {
  // Of a network of the zoo there is nothing to say about the weights.
  const bool bare = entry_of(network.model) != nullptr && network.weights.empty();
  const Model model =
      bare ? with_preprocessing(build_model(network.model, {.random = false}), network) : open_network(network);
  Json json = summary_of(model.name, model.graph);
  if (is_quantized(model.graph)) {
    const Lowered lowered = for_target(model, open_target(target_of(model, target))).lowered;
    json["program"] = describe_program(lowered, Engine(lowered.program));
  }
  json["preprocessing"] = to_string(model.preprocessing);
  json["classes"] = model.classes;
  json["notes"] = model.notes;
  json["layer_list"] = layers_of(model.graph);
  return json;
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  NetworkSource network;
  std::string format = "text", target;
  CommandLine flags("inspect");
  bind(flags, network);
  bind_target(flags, target);
  flags.section("Output");
  flags.add("format", format, "of what is printed", {.choices = names_of(formats())});
  if (!flags.read(arguments)) return kDone;

  const bool zoo = network.model == "all";
  const Json json = zoo ? inspect_zoo() : inspect_model(network, target);
  const Format chosen = format_of(format);
  fmt::print("{}", chosen == Format::json ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                                          : render(zoo ? zoo_table(json) : layer_table(json), chosen));
  return kDone;
}

}  // namespace binade
