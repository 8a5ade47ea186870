// Pairing the layers of two networks, and moving weights between layers with and without batch norm.
#include "core/passes/load_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

/// A weighted node with the batch norm that alone reads it.
struct Layer {
  const Node* node = nullptr;
  const Node* norm = nullptr;
  std::string key;  ///< what names are compared by
};

/// Inputs of a BatchNorm.
constexpr std::size_t kGamma = 1, kBeta = 2, kMean = 3, kVariance = 4;

/// "backbone.features.0.0.weight" and "features/0/0/kernel" become "features.0.0".
std::string key_of(std::string name) {
  std::replace(name.begin(), name.end(), '/', '.');
  for (const std::string_view prefix : {"module.", "model.", "encoder.", "backbone."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  for (const std::string_view suffix : {".weight", ".kernel", ".depthwise_kernel"}) {
    if (name.ends_with(suffix)) name.erase(name.size() - suffix.size());
  }
  return name;
}

bool are_parameters(const Graph& graph, const Node& node, std::size_t first) {
  return std::all_of(node.in.begin() + static_cast<std::ptrdiff_t>(first), node.in.end(),
                     [&](ValueId id) { return graph.is_parameter(id); });
}

std::vector<Layer> layers_of(const Graph& graph) {
  std::vector<Layer> layers;
  for (const Node& node : graph.nodes()) {
    if (!is_weighted(node) || !are_parameters(graph, node, kWeights)) continue;
    Layer layer{.node = &node, .key = key_of(graph.name(node.in[kWeights]))};
    const std::vector<int> readers = graph.consumers(node.out);
    if (readers.size() == 1 && node.out != graph.output()) {
      const Node& reader = graph.nodes()[static_cast<std::size_t>(readers[0])];
      if (traits_of(reader.op).statistics != 0 && are_parameters(graph, reader, kGamma)) layer.norm = &reader;
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

/// The layers that take weights; the names of the others go to `kept`.
std::vector<Layer> layers_of_part(const Graph& graph, LayerPart part, std::vector<std::string>& kept) {
  std::vector<Layer> layers = layers_of(graph);
  if (part == LayerPart::all || layers.empty()) return layers;
  auto rest = std::stable_partition(layers.begin(), layers.end(),
                                    [](const Layer& layer) { return !layer.node->name.starts_with("decoder."); });
  if (rest == layers.end()) --rest;
  for (auto layer = rest; layer != layers.end(); ++layer) kept.push_back(layer->node->name);
  layers.erase(rest, layers.end());
  return layers;
}

/// What each layer is called in the source; a name for no layer is one of the `problems`.
void rename(std::vector<Layer>& layers, const std::map<std::string, std::string>& names,
            std::vector<std::string>& problems) {
  std::vector<std::string_view> known;
  for (const Layer& layer : layers) known.push_back(layer.key);
  std::vector<std::string> renamed;
  for (const Layer& layer : layers) renamed.push_back(layer.key);
  for (const auto& [ours, theirs] : names) {
    const auto found = std::find(known.begin(), known.end(), key_of(ours));
    if (found == known.end()) {
      problems.push_back(unknown_name("layer in the map of names", ours, known));
    } else {
      renamed[static_cast<std::size_t>(found - known.begin())] = key_of(theirs);
    }
  }
  for (std::size_t i = 0; i < layers.size(); ++i) layers[i].key = renamed[i];
}

/// Positions in `from` for each of `layers`; empty, with the reasons in `problems`, if one has no partner.
std::vector<std::size_t> by_name(const std::vector<Layer>& layers, const std::vector<Layer>& from,
                                 std::vector<std::string>& problems) {
  std::map<std::string_view, std::size_t> places;
  std::vector<std::string_view> known;
  for (std::size_t i = 0; i < from.size(); ++i) {
    places.emplace(from[i].key, i);
    known.push_back(from[i].key);
  }
  std::vector<std::size_t> partners;
  for (const Layer& layer : layers) {
    const auto found = places.find(layer.key);
    if (found != places.end()) {
      partners.push_back(found->second);
      continue;
    }
    const std::string_view nearest = nearest_name(layer.key, known);
    problems.push_back(fmt::format("'{}' is not there{}", layer.key,
                                   nearest.empty() ? "" : fmt::format("; the nearest name is '{}'", nearest)));
  }
  return problems.empty() ? partners : std::vector<std::size_t>{};
}

std::vector<std::size_t> by_order(const std::vector<Layer>& layers, const std::vector<Layer>& from, LayerPart part,
                                  std::vector<std::string>& problems) {
  if (from.size() < layers.size() || (part == LayerPart::all && from.size() != layers.size())) {
    problems.push_back(fmt::format("{} layers want weights, {} are there{}", layers.size(), from.size(),
                                   part == LayerPart::all ? "; perhaps only the encoder is meant" : ""));
    return {};
  }
  std::vector<std::size_t> partners;
  for (std::size_t i = 0; i < layers.size(); ++i) partners.push_back(i);
  return partners;
}

/// What the layer does beside its weights: the op (a plain 1x1 convolution is a Linear), then the activation function.
std::string function_of(const Graph& graph, const Layer& layer) {
  const Shape& kernel = graph.shape(layer.node->in[kWeights]);
  const bool per_pixel = kernel.h == 1 && kernel.w == 1 && layer.node->op == Op(Conv2d{});
  std::string text = per_pixel ? to_string(Linear{}) : to_string(layer.node->op);
  const std::vector<int> readers = graph.consumers((layer.norm == nullptr ? layer.node : layer.norm)->out);
  for (const int reader : readers) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(reader)];
    if (is_activation(node)) return text + ", " + to_string(node.op);
  }
  return text;
}

class Loader {
 public:
  Loader(Graph& network, const Graph& source, LoadedWeights& loaded)
      : network_(network), source_(source), loaded_(loaded) {}

  /// False, with both sides in `problems`, if it does not fit.
  bool fits(const Layer& to, const Layer& from, std::vector<std::string>& problems) const {
    const Shape &here = network_.shape(to.node->in[kWeights]), &there = source_.shape(from.node->in[kWeights]);
    std::string problem;
    if (!(here == there)) {
      problem = fmt::format("weights of {}", to_string(there));
    } else if (to.norm == nullptr && !has_bias(*to.node) && (has_bias(*from.node) || from.norm != nullptr)) {
      problem = "a bias, for which there is no place";
    }
    if (problem.empty()) return true;
    problems.push_back(
        fmt::format("'{}' wants {}, '{}' has {}", to.node->name, to_string(here), from.node->name, problem));
    return false;
  }

  void load(const Layer& to, const Layer& from) {
    loaded_.layers.push_back(fmt::format("{} < {}", to.node->name, from.node->name));
    const std::string here = function_of(network_, to), there = function_of(source_, from);
    if (here != there) loaded_.differences.push_back(fmt::format("{}: {} there, {} here", to.node->name, there, here));
    network_.tensor(to.node->in[kWeights]) = source_.tensor(from.node->in[kWeights]);
    if (to.norm != nullptr && from.norm != nullptr) return load_norm(to, from);
    if (to.norm != nullptr) return load_identity(to, from);
    if (from.norm != nullptr) scale_weights(to, from);
    if (has_bias(*to.node)) set(to.node->in[kBias], [&](std::int64_t c) { return folded_bias(from, c); });
  }

 private:
  template <class Element>
  void set(ValueId id, const Element& element) {
    Tensor<float>& tensor = network_.tensor(id);
    for (std::int64_t c = 0; c < tensor.count(); ++c) tensor[c] = static_cast<float>(element(c));
  }

  double bias(const Layer& from, std::int64_t c) const {
    return has_bias(*from.node) ? static_cast<double>(source_.tensor(from.node->in[kBias])[c]) : 0;
  }
  double norm(const Layer& from, std::size_t input, std::int64_t c) const {
    return static_cast<double>(source_.tensor(from.norm->in[input])[c]);
  }
  double gain(const Layer& from, std::int64_t c) const {
    return norm(from, kGamma, c) / std::sqrt(norm(from, kVariance, c) + std::get<BatchNorm>(from.norm->op).epsilon);
  }
  double folded_bias(const Layer& from, std::int64_t c) const {
    if (from.norm == nullptr) return bias(from, c);
    return norm(from, kBeta, c) + gain(from, c) * (bias(from, c) - norm(from, kMean, c));
  }

  void set_epsilon(const Layer& to, double epsilon) {
    BatchNorm op = std::get<BatchNorm>(to.norm->op);
    op.epsilon = epsilon;
    network_.set_attributes(network_.value(to.norm->out).node, op);
  }

  void load_norm(const Layer& to, const Layer& from) {
    set_epsilon(to, std::get<BatchNorm>(from.norm->op).epsilon);
    for (const std::size_t input : {kGamma, kBeta, kVariance}) {
      network_.tensor(to.norm->in[input]) = source_.tensor(from.norm->in[input]);
    }
    const bool keeps_bias = has_bias(*to.node);
    if (keeps_bias) set(to.node->in[kBias], [&](std::int64_t c) { return bias(from, c); });
    set(to.norm->in[kMean], [&](std::int64_t c) { return norm(from, kMean, c) - (keeps_bias ? 0 : bias(from, c)); });
  }

  void load_identity(const Layer& to, const Layer& from) {
    loaded_.identities.push_back(to.norm->name);
    if (has_bias(*to.node)) set(to.node->in[kBias], [](std::int64_t) { return 0; });
    const double epsilon = std::get<BatchNorm>(to.norm->op).epsilon;
    set(to.norm->in[kGamma], [](std::int64_t) { return 1; });
    set(to.norm->in[kBeta], [&](std::int64_t c) { return bias(from, c); });
    set(to.norm->in[kMean], [](std::int64_t) { return 0; });
    set(to.norm->in[kVariance], [&](std::int64_t) { return 1 - epsilon; });
  }

  void scale_weights(const Layer& to, const Layer& from) {
    Tensor<float>& weights = network_.tensor(to.node->in[kWeights]);
    const std::int64_t length = weights.count() / weights.shape().n;
    for (std::int64_t i = 0; i < weights.count(); ++i) {
      weights[i] = static_cast<float>(static_cast<double>(weights[i]) * gain(from, i / length));
    }
  }

  Graph& network_;
  const Graph& source_;
  LoadedWeights& loaded_;
};

[[noreturn]] void refuse(const std::vector<std::string>& problems) {
  std::string text = "the weights do not fit the network:";
  for (const std::string& problem : problems) text += "\n  " + problem;
  throw DataError(text);
}

/// Parameters that belong to no layer.
void note_loose_parameters(const Graph& network, const std::vector<Layer>& layers, std::vector<std::string>& kept) {
  std::vector<bool> belongs(network.values().size());
  for (const Layer& layer : layers) {
    for (const ValueId id : layer.node->in) belongs[index_of(id)] = true;
    if (layer.norm == nullptr) continue;
    for (const ValueId id : layer.norm->in) belongs[index_of(id)] = true;
  }
  for (const ValueId id : network.parameters()) {
    if (!belongs[index_of(id)]) kept.push_back(network.name(id));
  }
}

}  // namespace

Graph load_weights(const Graph& network, const Graph& source, const WeightOptions& options, LoadedWeights& loaded) {
  loaded = {};
  Graph result = network;
  const Graph plain = without_quantizers(source);
  std::vector<Layer> layers = layers_of_part(result, options.part, loaded.kept);
  const std::vector<Layer> from = layers_of(plain);
  if (from.empty()) throw DataError("the file of weights holds no layer with weights");
  std::vector<std::string> problems;
  rename(layers, options.names, problems);
  if (!problems.empty()) refuse(problems);
  std::vector<std::size_t> partners;
  loaded.map = LayerMap::name;
  if (options.map != LayerMap::order) partners = by_name(layers, from, problems);
  const bool may_fall_back = options.map == LayerMap::automatic && options.names.empty();
  if (options.map == LayerMap::order || (may_fall_back && !problems.empty())) {
    problems.clear();
    loaded.map = LayerMap::order;
    partners = by_order(layers, from, options.part, problems);
  }
  if (!problems.empty()) refuse(problems);
  Loader loader(result, plain, loaded);
  for (std::size_t i = 0; i < layers.size(); ++i) loader.fits(layers[i], from[partners[i]], problems);
  if (!problems.empty()) refuse(problems);
  for (std::size_t i = 0; i < layers.size(); ++i) loader.load(layers[i], from[partners[i]]);
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (std::find(partners.begin(), partners.end(), i) == partners.end()) loaded.unused.push_back(from[i].node->name);
  }
  note_loose_parameters(result, layers_of(result), loaded.kept);
  return result;
}

}  // namespace binade
