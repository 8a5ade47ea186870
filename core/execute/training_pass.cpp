// Training layer by layer: what is fused, where values and gradients live, the way there and back.
#include "core/execute/training_pass.hpp"

#include <algorithm>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/memory_plan.hpp"
#include "core/base/random.hpp"
#include "core/execute/batch_losses.hpp"
#include "core/execute/stages.hpp"
#include "core/ops/clamped_quantizer.hpp"
#include "core/ops/code_conv.hpp"

namespace binade {
namespace {

template <class T>
void convert(std::span<const float> from, std::span<T> to) {
  std::transform(from.begin(), from.end(), to.begin(), [](float x) { return static_cast<T>(x); });
}

/// The op of a node, or null for -1.
const Op* op_at(const Graph& graph, int node) {
  return node < 0 ? nullptr : &graph.nodes()[static_cast<std::size_t>(node)].op;
}

template <class T>
ClampedQuantizer<T> tail_of(int clamp, int quantizer, const Graph& graph, const FixedValues<T>& fixed) {
  const Node& node = graph.nodes()[static_cast<std::size_t>(quantizer)];
  const double learned = node.in.size() > 1 ? static_cast<double>(fixed.view(node.in[1]).data[0]) : 0;
  return ClampedQuantizer<T>::of(op_at(graph, clamp), node.op, learned);
}

}  // namespace

std::vector<bool> gradients_on_the_way(const Graph& graph, const std::vector<bool>& wanted) {
  std::vector<bool> reaches = wanted;
  for (const Node& node : graph.nodes()) {
    for (const ValueId id : node.in) {
      if (reaches[index_of(id)]) reaches[index_of(node.out)] = true;
    }
  }
  return reaches;
}

template <class T>
TrainingPass<T>::TrainingPass(const Graph& graph, FixedValues<T>& fixed, TrainingPart part)
    : graph_(graph),
      fixed_(fixed),
      part_(std::move(part)),
      lent_(graph.values().size()),
      given_(graph.nodes().size()),
      states_(graph.nodes().size()),
      code_states_(graph.nodes().size()),
      times_(graph.nodes().size()) {
  for (std::vector<bool>* by_value : {&part_.reaches, &part_.outside, &part_.begun, &part_.placed}) {
    by_value->resize(graph.values().size());
  }
  part_.again.resize(graph.nodes().size());
}

template <class T>
std::uint64_t TrainingPass<T>::node_seed(std::size_t index) const {
  const std::uint64_t seed = Random(step_.seed, step_.number).word(index);
  return step_.first_image == 0 ? seed : Random(seed).word(static_cast<std::uint64_t>(step_.first_image));
}

/// Whether a value may stay between two nodes: one reader, and nobody else asks for it or its gradient.
template <class T>
bool TrainingPass<T>::can_absorb(ValueId id) const {
  return id != graph_.output() && graph_.consumers(id).size() == 1 && !part_.outside[index_of(id)] &&
         !fixed_.is_constant(id);
}

template <class T>
void TrainingPass<T>::plan_fusion() {
  tails_.assign(graph_.nodes().size(), {});
  done_before_.assign(graph_.nodes().size(), false);
  lives_nowhere_.assign(graph_.values().size(), false);
  for (std::size_t i = 0; options_.fuse && i < graph_.nodes().size(); ++i) {
    const Node& node = graph_.nodes()[i];
    if (!part_.nodes[i] || done_before_[i] || !can_absorb(node.out)) continue;
    Tail tail;
    if (traits_of(node.op).statistics != 0) {
      tail.clamp = clamp_behind_norm(graph_, i);
      if (tail.clamp >= 0) lives_nowhere_[index_of(node.out)] = true;
    } else if (!part_.given_statistics) {
      tail = quantizer_behind(node.out);
    }
    if (tail.clamp >= 0) done_before_[static_cast<std::size_t>(tail.clamp)] = true;
    if (tail.quantizer >= 0) done_before_[static_cast<std::size_t>(tail.quantizer)] = true;
    if (tail.quantizer >= 0 && tail.clamp >= 0) lives_nowhere_[index_of(result_of(tail.clamp))] = true;
    tails_[i] = tail;
  }
}

template <class T>
ValueId TrainingPass<T>::result_of(int node) const {
  return graph_.nodes()[static_cast<std::size_t>(node)].out;
}

/// The quantizer that alone reads a value, perhaps through a clamp; or none.
template <class T>
typename TrainingPass<T>::Tail TrainingPass<T>::quantizer_behind(ValueId id) const {
  Tail tail{.clamp = -1, .quantizer = graph_.consumers(id)[0]};
  if (is_clamp(*op_at(graph_, tail.quantizer))) {
    tail.clamp = tail.quantizer;
    if (!can_absorb(result_of(tail.clamp))) return {};
    tail.quantizer = graph_.consumers(result_of(tail.clamp))[0];
  }
  const bool fits = ClampedQuantizer<T>::supports(op_at(graph_, tail.clamp), *op_at(graph_, tail.quantizer));
  return fits ? tail : Tail{};
}

/// What a node has written in the end.
template <class T>
ValueId TrainingPass<T>::written_by(std::size_t node) const {
  const Tail& tail = tails_[node];
  const int last = tail.quantizer >= 0 ? tail.quantizer : tail.clamp;
  return result_of(last < 0 ? static_cast<int>(node) : last);
}

template <class T>
void TrainingPass<T>::plan(const Options& options) {
  options_.timed = options.timed;
  if (planned_ && options.batch == options_.batch && options.fuse == options_.fuse) return;
  options_ = options;
  planned_ = true;
  plan_fusion();
  kept_.assign(graph_.values().size(), {});
  value_offsets_.assign(graph_.values().size(), 0);
  memory_ = {};
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    const Value& value = graph_.values()[i];
    const bool here = value.kind == ValueKind::input
                          ? !graph_.consumers(static_cast<ValueId>(i)).empty()
                          : value.kind == ValueKind::result && part_.nodes[static_cast<std::size_t>(value.node)];
    if (!here || part_.placed[i]) continue;
    const bool one = fixed_.is_constant()[i] || is_loss(graph_, static_cast<ValueId>(i));
    kept_[i].shape = one ? value.shape : value.shape.with_batch(options.batch);
    value_offsets_[i] = memory_.values;
    if (!lives_nowhere_[i]) memory_.values += in_lines(kept_[i].count());
  }
  plan_gradients();
  if (!options.own_memory) return;
  if (kept_block_.size() < memory_.values) kept_block_ = Block<T>(memory_.values);
  if (gradient_arena_.size() < memory_.gradients) gradient_arena_ = Block<T>(memory_.gradients);
  bind(kept_block_.data(), gradient_arena_.data());
}

template <class T>
void TrainingPass<T>::bind(T* values, T* gradients) {
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (kept_[i].count() > 0 && !lives_nowhere_[i] && !part_.placed[i]) kept_[i].data = values + value_offsets_[i];
  }
  gradient_memory_ = gradients;
}

template <class T>
void TrainingPass<T>::plan_gradients() {
  gradient_offsets_.assign(graph_.values().size(), 0);
  const auto steps = static_cast<int>(graph_.nodes().size());
  // Backwards, the gradient of a value lives from its last reader to the node whose tail it is the end of.
  std::vector<int> made(graph_.values().size(), -1);
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    if (part_.nodes[i] && !done_before_[i]) made[index_of(written_by(i))] = static_cast<int>(i);
  }
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < graph_.values().size(); ++i) {
    if (!part_.reaches[i] || part_.outside[i] || made[i] < 0) continue;
    const std::vector<int> readers = graph_.consumers(static_cast<ValueId>(i));
    const int last = readers.empty() ? made[i] : readers.back();
    lifetimes.push_back({part_.begun[i] ? 0 : steps - 1 - last, steps - 1 - made[i],
                         static_cast<std::size_t>(gradient_shape(i).count()) * sizeof(T)});
    indices.push_back(i);
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  memory_.gradients = plan.bytes / sizeof(T);
  for (std::size_t k = 0; k < indices.size(); ++k) gradient_offsets_[indices[k]] = plan.offsets[k] / sizeof(T);
}

template <class T>
View<const T> TrainingPass<T>::value(ValueId id) const {
  const View<const T>& lent = lent_[index_of(id)];
  if (lent) return lent;
  return graph_.is_parameter(id) ? fixed_.view(id) : View<const T>(kept_[index_of(id)]);
}

template <class T>
View<T> TrainingPass<T>::gradient_view(ValueId id, std::span<const View<T>> gradients) {
  const std::size_t i = index_of(id);
  if (!part_.reaches[i]) return {};
  if (part_.outside[i]) return gradients[i];
  return {gradient_memory_ + gradient_offsets_[i], gradient_shape(i)};
}

template <class T>
Shape TrainingPass<T>::gradient_shape(std::size_t value) const {
  const Shape& shape = graph_.values()[value].shape;
  const auto id = static_cast<ValueId>(value);
  return fixed_.is_constant(id) || is_loss(graph_, id) ? shape : shape.with_batch(options_.batch);
}

/// The grid of what a quantizer makes, in this step.
template <class T>
std::optional<QuantSpec> TrainingPass<T>::grid_of(ValueId id) const {
  const Node* node = graph_.producer(id);
  if (node == nullptr) return std::nullopt;
  if (const auto* fake = std::get_if<FakeQuant>(&node->op)) return fake->spec;
  if (const auto* tqt = std::get_if<Tqt>(&node->op)) {
    return tqt->spec(static_cast<double>(fixed_.view(node->in[1]).data[0]));
  }
  return std::nullopt;
}

/// A convolution of quantized tensors, as the device does it; false if it is none, or not faster so.
template <class T>
bool TrainingPass<T>::forward_on_codes(std::size_t index, const Forward<T>& forward) {
  if constexpr (std::is_same_v<T, float>) {
    const Node& node = graph_.nodes()[index];
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (conv == nullptr) return false;
    const std::optional<QuantSpec> x = grid_of(node.in[0]), w = grid_of(node.in[1]);
    if (!x || !w) return false;
    const ConvGeometry g = conv_geometry(*conv, forward.in[0].shape, forward.in[1].shape, forward.out.shape);
    if (!CodeConv::supports(g, *x, *w)) return false;
    code_states_[index].template get<CodeConv>().forward(
        g, forward.out.shape.n, {forward.in[0].data, *x}, {forward.in[1].data, *w},
        forward.in.size() > 2 ? forward.in[2].data : nullptr, forward.out.data, forward.parameter_version);
    return true;
  }
  return false;
}

template <class T>
void TrainingPass<T>::run_node(std::size_t index, std::span<const View<const T>> in) {
  const Node& node = graph_.nodes()[index];
  const Tail& tail = tails_[index];
  const auto* norm = std::get_if<BatchNorm>(&node.op);
  std::vector<View<T>> updated;
  if (norm != nullptr) {
    for (const std::size_t i : {3u, 4u}) updated.push_back(fixed_.parameter(node.in[i]));
  }
  const ValueId written = written_by(index);
  const Forward<T> forward{.in = in,
                           .out = kept_[index_of(norm != nullptr ? written : node.out)],
                           .state = states_[index],
                           .mode = Mode::training,
                           .seed = node_seed(index),
                           .parameter_version = fixed_.version(),
                           .updated = updated};
  std::optional<NodeTimer> timer(std::in_place, options_.timed, times_[index].forward);
  if (norm != nullptr && given_[index] != nullptr) {
    return given_[index]->apply(in[0], forward.out.data, limits_of<T>(op_at(graph_, tail.clamp)));
  }
  if (norm != nullptr) return batch_norm_forward(*norm, forward, limits_of<T>(op_at(graph_, tail.clamp)));
  if (!forward_on_codes(index, forward)) binade::forward(node.op, forward);
  if (tail.quantizer < 0) return;
  timer.emplace(options_.timed, times_[static_cast<std::size_t>(tail.quantizer)].forward);
  const View<T> y = kept_[index_of(written)];
  tail_of<T>(tail.clamp, tail.quantizer, graph_, fixed_).forward(forward.out.data, y.data, y.count());
}

template <class T>
void TrainingPass<T>::forward(std::span<const View<const float>> inputs, const Step& step, const Tap<T>& tap) {
  step_ = step;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const ValueId id = graph_.inputs()[i];
    if (kept_[index_of(id)].count() == 0 || lent_[index_of(id)]) continue;
    convert<T>(inputs[i].span(), kept_[index_of(id)].span());
    if (tap) tap(id, value(id), step.first_image);
  }
  std::vector<View<const T>> in;
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    if (!part_.nodes[i] || done_before_[i]) continue;
    const Node& node = graph_.nodes()[i];
    in.clear();
    for (const ValueId id : node.in) in.push_back(value(id));
    run_node(i, in);
    if (tap) tap(node.out, value(node.out), step.first_image);
  }
}

template <class T>
void TrainingPass<T>::refresh(const Step& step) {
  step_ = step;
  std::vector<View<const T>> in;
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    if (!part_.nodes[i] || !part_.again[i] || done_before_[i]) continue;
    in.clear();
    for (const ValueId id : graph_.nodes()[i].in) in.push_back(value(id));
    run_node(i, in);
  }
}

/// The gradient buffers of a node's inputs. The first touch of a gradient makes it zero, by a bit of `fresh` where the
/// op heeds it, else by clearing it: ops only ever add.
template <class T>
std::uint32_t TrainingPass<T>::begin_inputs(const Node& node, std::vector<bool>& begun, std::vector<View<T>>& din,
                                            std::span<const View<T>> gradients) {
  const bool takes_fresh = traits_of(node.op).takes_fresh;
  std::uint32_t fresh = 0;
  din.clear();
  for (std::size_t k = 0; k < node.in.size(); ++k) {
    const ValueId id = node.in[k];
    din.push_back(gradient_view(id, gradients));
    if (!din.back() || begun[index_of(id)]) continue;
    begun[index_of(id)] = true;
    if (takes_fresh && k < 32 && std::count(node.in.begin(), node.in.end(), id) == 1) {
      fresh |= 1u << k;
    } else {
      std::fill_n(din.back().data, din.back().count(), T(0));
    }
  }
  return fresh;
}

/// From the gradient of what was kept to that of what the node made, in place.
template <class T>
void TrainingPass<T>::backward_tail(std::size_t index, View<T> gradient, std::span<const View<T>> gradients) {
  const Tail& tail = tails_[index];
  if (tail.quantizer < 0) return;
  const NodeTimer timer(options_.timed, times_[static_cast<std::size_t>(tail.quantizer)].backward);
  const Node& quantizer = graph_.nodes()[static_cast<std::size_t>(tail.quantizer)];
  const View<const T> x = value(graph_.nodes()[index].out), y = value(quantizer.out);
  const double learned =
      tail_of<T>(tail.clamp, tail.quantizer, graph_, fixed_)
          .backward({.x = x.data, .y = y.data, .dy = gradient.data, .n = x.count()}, gradient.data, false);
  if (quantizer.in.size() < 2) return;
  const View<T> threshold = gradient_view(quantizer.in[1], gradients);
  if (threshold) threshold.data[0] += static_cast<T>(learned);
}

template <class T>
void TrainingPass<T>::backward(std::span<const View<T>> gradients) {
  std::vector<bool> begun = part_.begun;
  std::vector<View<const T>> in;
  std::vector<View<T>> din;
  for (std::size_t i = graph_.nodes().size(); i-- > 0;) {
    if (!part_.nodes[i] || done_before_[i] || given_[i] != nullptr) continue;
    const Node& node = graph_.nodes()[i];
    const ValueId out = written_by(i);
    if (!part_.reaches[index_of(out)] || !begun[index_of(out)]) continue;
    const View<T> dout = gradient_view(out, gradients);
    backward_tail(i, dout, gradients);
    const NodeTimer timer(options_.timed, times_[i].backward);
    in.clear();
    for (const ValueId id : node.in) in.push_back(value(id));
    const std::uint32_t fresh = begin_inputs(node, begun, din, gradients);
    const auto* norm = std::get_if<BatchNorm>(&node.op);
    const Backward<T> backward{.in = in,
                               .out = value(norm != nullptr ? out : node.out),
                               .dout = dout,
                               .din = din,
                               .state = states_[i],
                               .seed = node_seed(i),
                               .parameter_version = fixed_.version(),
                               .fresh = fresh};
    if (norm != nullptr) {
      batch_norm_backward(*norm, backward, limits_of<T>(op_at(graph_, tails_[i].clamp)));
    } else {
      binade::backward(node.op, backward);
    }
  }
}

template class TrainingPass<float>;
template class TrainingPass<double>;

}  // namespace binade
