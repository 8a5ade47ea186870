// The float network image by image through an executor, then the quantized one layer by layer.
#include "calibration/lock_step.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"
#include "core/base/memory_plan.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

constexpr ValueId kNone{-1};

const Node& only_reader(const Graph& graph, ValueId id) {
  return graph.nodes()[static_cast<std::size_t>(graph.consumers(id)[0])];
}

/// y[p, c] += plus[c] - minus[c]
void add_to_channels(View<float> y, const Tensor<float>& plus, const Tensor<float>& minus) {
  std::vector<float> d(static_cast<std::size_t>(y.shape.c));
  for (std::size_t c = 0; c < d.size(); ++c) d[c] = plus.data()[c] - minus.data()[c];
  const std::int64_t pixels = y.shape.pixels();
  parallel_for(pixels, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      float* row = y.data + p * y.shape.c;
      for (std::size_t c = 0; c < d.size(); ++c) row[c] += d[c];
    }
  });
}

Moments moments_of(View<const float> view) {
  ChannelMeans means(view.shape.c);
  means.reserve(view.shape.n);
  parallel_for(view.shape.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<int>(begin); i < end; ++i) means.add(view.images(i, 1), i);
  });
  return means.of(0, view.shape.n);
}

}  // namespace

LockStep::LockStep(const Graph& reference, const Graph& start, const SpecMap& specs, const LockStepOptions& options)
    : options_(options), graph_(insert_quantizers(start, specs, options.quantizers)), reference_(reference) {
  require(graph_.inputs().size() == 1, "LockStep: one input wanted");
  plan();
  for (int i = 0; i < static_cast<int>(graph_.nodes().size()); ++i) {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(i)];
    if (!has_bias(node) || is_constant_[index_of(node.out)]) continue;
    const Node* quantizer = graph_.producer(node.in[kBias]);
    const ValueId bias = quantizer == nullptr ? node.in[kBias] : quantizer->in[0];
    if (!graph_.is_parameter(bias)) continue;
    Layer layer{.node = i, .bias = bias, .activation = kNone, .wanted = ChannelMeans(graph_.shape(node.out).c)};
    if (graph_.consumers(node.out).size() == 1 && is_activation(only_reader(graph_, node.out))) {
      layer.activation = only_reader(graph_, node.out).out;
    }
    layer_of_[static_cast<std::size_t>(i)] = static_cast<int>(layers_.size());
    layers_.push_back(std::move(layer));
  }
}

/// Computes what depends on parameters only, and gives every other result its place in the arena.
void LockStep::plan() {
  const auto& nodes = graph_.nodes();
  const std::size_t values = graph_.values().size();
  is_constant_.assign(values, false);
  constants_.resize(values);
  offsets_.assign(values, 0);
  states_.resize(nodes.size());
  layer_of_.assign(nodes.size(), -1);
  for (const ValueId id : graph_.parameters()) is_constant_[index_of(id)] = true;
  std::vector<Lifetime> lifetimes;
  std::vector<ValueId> placed;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    const ValueId out = node.out;
    is_constant_[index_of(out)] =
        std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return is_constant_[index_of(id)]; });
    if (is_constant_[index_of(out)]) {
      constants_[index_of(out)] = Tensor<float>(graph_.shape(out));
      run_node(node, 1);
      continue;
    }
    const std::vector<int> readers = graph_.consumers(out);
    const int last = readers.empty() ? static_cast<int>(i) : readers.back();
    const auto elements =
        static_cast<std::size_t>(graph_.shape(out).count()) * static_cast<std::size_t>(options_.batch);
    lifetimes.push_back({static_cast<int>(i), last, elements * sizeof(float)});
    placed.push_back(out);
  }
  const MemoryPlan memory = plan_memory(lifetimes);
  for (std::size_t i = 0; i < placed.size(); ++i) offsets_[index_of(placed[i])] = memory.offsets[i] / sizeof(float);
  arena_ = Block<float>(memory.bytes / sizeof(float));
}

View<const float> LockStep::view(ValueId id) const {
  if (graph_.is_parameter(id)) return graph_.tensor(id).view();
  if (is_constant_[index_of(id)]) return constants_[index_of(id)].view();
  if (graph_.value(id).kind == ValueKind::input) return input_;
  return {arena_.data() + offsets_[index_of(id)], graph_.shape(id).with_batch(graph_.shape(id).n * images_)};
}

View<float> LockStep::writable(ValueId id) {
  if (is_constant_[index_of(id)]) return constants_[index_of(id)].view();
  return {arena_.data() + offsets_[index_of(id)], graph_.shape(id).with_batch(graph_.shape(id).n * images_)};
}

void LockStep::run_node(const Node& node, std::uint64_t version) {
  std::vector<View<const float>> in;
  for (const ValueId id : node.in) in.push_back(view(id));
  if (const int layer = layer_of_[static_cast<std::size_t>(graph_.value(node.out).node)]; layer >= 0) {
    in[kBias] = std::as_const(layers_[static_cast<std::size_t>(layer)].deployed).view();
  }
  OpState& state = states_[static_cast<std::size_t>(graph_.value(node.out).node)];
  const Forward<float> forward{.in = in, .out = writable(node.out), .state = state, .parameter_version = version};
  binade::forward(node.op, forward);
}

void LockStep::measure_reference(View<const float> images, int first) {
  const Graph& graph = reference_.graph();
  std::vector<ChannelMeans*> slots(graph.values().size(), nullptr);
  bool known = true;
  for (Layer& layer : layers_) {
    ValueId twin{};
    const std::string& name = graph_.nodes()[static_cast<std::size_t>(layer.node)].name;
    require(graph.find(name, twin), "LockStep: the float network has no such layer");
    slots[index_of(twin)] = &layer.wanted;
    layer.wanted.reserve(first + images.shape.n);
    known = known && layer.wanted.has(first, images.shape.n);
  }
  if (known) return;
  reference_.forward(images, [&](ValueId id, View<const float> view, int image) {
    if (ChannelMeans* means = slots[index_of(id)]) means->add(view, first + image);
  });
}

Movement LockStep::step(View<const float> images, int first, double factor, double weight_factor) {
  require(images.shape.n <= options_.batch, "LockStep: more images than a step may have");
  if (factor != 0 || weight_factor != 0) measure_reference(images, first);
  input_ = images;
  images_ = images.shape.n;
  observed_.assign(graph_.values().size(), false);
  Movement moved;
  for (int i = 0; i < static_cast<int>(graph_.nodes().size()); ++i) {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(i)];
    if (is_constant_[index_of(node.out)]) continue;
    if (const int layer = layer_of_[static_cast<std::size_t>(i)]; layer >= 0) {
      run_layer(layers_[static_cast<std::size_t>(layer)], first, factor, weight_factor, moved);
      continue;
    }
    if (const auto* quantizer = fixed_quantizer(node.op); quantizer != nullptr && options_.running_ranges) {
      if (!observed_[index_of(node.in[0])]) observe(node.in[0], view(node.in[0]));
      FakeQuant moved_grid = *quantizer;
      moved_grid.spec = ranges_.at(graph_.name(node.in[0])).spec(quantizer->spec.bits);
      graph_.set_attributes(i, moved_grid);
    }
    run_node(node, 1);
  }
  ++steps_;
  return moved;
}

/// The layer runs with its bias as deployed, so that its sums are exact and ties of the quantizer behind fall as they
/// will; compared is what they are with the bias as it is kept.
void LockStep::run_layer(Layer& layer, int first, double factor, double weight_factor, Movement& moved) {
  const Node& node = graph_.nodes()[static_cast<std::size_t>(layer.node)];
  layer.deployed = deployed_bias(layer);
  run_node(node, layer.version);
  if (options_.running_ranges) observe(layer);
  if (factor != 0 || weight_factor != 0) {
    const Moments wanted = layer.wanted.of(first, images_), got = moments_of(view(node.out));
    Tensor<float>& bias = graph_.tensor(layer.bias);
    double moves = 0, deviations = 0;
    for (std::size_t c = 0; c < wanted.mean.size(); ++c) {
      float& b = bias[static_cast<std::int64_t>(c)];
      const double kept = static_cast<double>(b),
                   used = static_cast<double>(layer.deployed[static_cast<std::int64_t>(c)]);
      const double change = factor * (wanted.mean[c] - (got.mean[c] - used + kept));
      b = static_cast<float>(kept + change);
      moves += change * change;
      deviations += wanted.deviation[c] * wanted.deviation[c];
    }
    const double relative = std::sqrt(moves / std::max(deviations, 1e-30));
    if (relative > moved.largest) moved = {relative, node.name};
    if (weight_factor != 0) correct_weights(layer, wanted, got, weight_factor);
  }
  const Tensor<float> now = deployed_bias(layer);
  if (now != layer.deployed) add_to_channels(writable(node.out), now, layer.deployed);
}

/// The bias of a layer on the grid that it has by now.
Tensor<float> LockStep::deployed_bias(const Layer& layer) const {
  const Node& node = graph_.nodes()[static_cast<std::size_t>(layer.node)];
  Tensor<float> bias = graph_.tensor(layer.bias);
  const std::optional<QuantSpec> input = spec_of(graph_, node.in[kInput]), weights = spec_of(graph_, node.in[kWeights]);
  if (!input || !weights) return bias;
  double largest = 0;
  for (const float b : bias.span()) largest = std::max(largest, std::abs(static_cast<double>(b)));
  const QuantSpec spec = bias_spec(*input, *weights, largest, options_.quantizers.bias_bits);
  for (float& b : bias.span()) b = fake_quantize(b, spec, options_.quantizers.biases);
  return bias;
}

/// The output is computed anew.
void LockStep::correct_weights(Layer& layer, const Moments& wanted, const Moments& got, double factor) {
  constexpr double kFloor = 1e-6;
  const Node& node = graph_.nodes()[static_cast<std::size_t>(layer.node)];
  const Node* quantizer = graph_.producer(node.in[kWeights]);
  const ValueId id = quantizer == nullptr ? node.in[kWeights] : quantizer->in[0];
  if (!graph_.is_parameter(id)) return;
  Tensor<float>& weights = graph_.tensor(id);
  const std::int64_t per_row = weights.count() / weights.shape().n;
  for (std::int64_t i = 0; i < weights.count(); ++i) {
    const auto c = static_cast<std::size_t>(i / per_row);
    const double gain = std::pow((wanted.deviation[c] + kFloor) / (got.deviation[c] + kFloor), factor);
    weights[i] = static_cast<float>(static_cast<double>(weights[i]) * gain);
  }
  if (quantizer != nullptr) run_node(*quantizer, 1);
  run_node(node, ++layer.version);
}

/// TI's ranges are those of the values in front of the correction, with biases that are not quantized.
void LockStep::observe(const Layer& layer) {
  const Node& node = graph_.nodes()[static_cast<std::size_t>(layer.node)];
  const View<const float> made = view(node.out);
  raw_.resize(made.shape);
  std::copy_n(made.data, made.count(), raw_.data());
  add_to_channels(raw_.view(), graph_.tensor(layer.bias), layer.deployed);
  const View<const float> raw = std::as_const(raw_).view();
  if (layer.activation == kNone) return observe(node.out, raw);
  const Node& activation = *graph_.producer(layer.activation);
  activated_.resize(made.shape);
  std::vector<View<const float>> in{raw};
  for (std::size_t i = 1; i < activation.in.size(); ++i) in.push_back(view(activation.in[i]));
  OpState state;
  const Forward<float> forward{.in = in, .out = activated_.view(), .state = state, .parameter_version = 1};
  binade::forward(activation.op, forward);
  observe(layer.activation, std::as_const(activated_).view());
}

void LockStep::observe(ValueId value, View<const float> seen) {
  const std::uint64_t seed = Random(options_.seed, steps_).word(index_of(value));
  ranges_[graph_.name(value)].add(seen, seed, options_.percentile);
  observed_[index_of(value)] = true;
}

Graph LockStep::quantized() const {
  return with_specs(graph_, {}, options_.quantizers);
}

}  // namespace binade
