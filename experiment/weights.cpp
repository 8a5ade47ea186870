// Taking weights from a file, and saying in the notes what was taken.
#include "experiment/weights.hpp"

#include <map>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.hpp"
#include "core/formats/formats.hpp"
#include "core/io/read_file.hpp"

namespace binade {
namespace {

LayerMap map_of(const std::string& word) {
  return word == "name" ? LayerMap::name : word == "order" ? LayerMap::order : LayerMap::automatic;
}

/// "ours theirs" per line; empty lines and what follows a '#' do not count.
std::map<std::string, std::string> read_names(const std::string& path) {
  std::map<std::string, std::string> names;
  if (path.empty()) return names;
  const std::vector<std::byte> bytes = read_whole_file(path, "a file of names");
  std::istringstream text(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  int number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string ours, theirs, more;
    if (!(words >> ours)) continue;
    if (!(words >> theirs) || words >> more) {
      throw DataError(fmt::format("line {} of '{}' is \"{}\"; wanted are two names: here, and in the file of weights",
                                  number, path, line));
    }
    if (!names.emplace(ours, theirs).second) {
      throw DataError(fmt::format("line {} of '{}' names '{}' a second time", number, path, ours));
    }
  }
  return names;
}

void note(Model& model, const char* key, const std::vector<std::string>& names) {
  if (!names.empty()) model.notes[key] = fmt::format("{}", fmt::join(names, "; "));
}

}  // namespace

Model with_weights(Model model, const NetworkSource& network, LoadedWeights* loaded) {
  if (network.weights.empty()) return model;
  const Model source = load_model(network.weights);
  const WeightOptions options{.map = map_of(network.weights_map),
                              .part = network.weights_part == "encoder" ? LayerPart::encoder : LayerPart::all,
                              .names = read_names(network.weights_names)};
  LoadedWeights report;
  model.graph = with_context(fmt::format("loading the weights of '{}' into '{}'", network.weights, model.name),
                             [&] { return load_weights(model.graph, source.graph, options, report); });
  model.notes["weights"] = fmt::format(
      "{} layers of '{}' by {}{}", report.layers.size(), network.weights,
      report.map == LayerMap::name ? "name" : "order",
      report.identities.empty()
          ? ""
          : fmt::format("; {} batch norms of theirs, folded there, are identities here", report.identities.size()));
  note(model, "weights kept", report.kept);
  note(model, "weights unused", report.unused);
  note(model, "weights differ", report.differences);
  if (loaded != nullptr) *loaded = std::move(report);
  return model;
}

}  // namespace binade
