// The executor: inference is elsewhere; training runs layer by layer on all threads and keeps every value.
#include "core/graph/executor.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/memory.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/graph/fixed_values.hpp"
#include "core/graph/inference.hpp"
#include "core/graph/memory_plan.hpp"
#include "core/ops/batch_norm.hpp"

namespace binade {
namespace {

template <class T>
void convert(std::span<const float> from, std::span<T> to) {
  std::transform(from.begin(), from.end(), to.begin(), [](float x) { return static_cast<T>(x); });
}

}  // namespace

template <class T>
struct Executor<T>::Impl {
  Graph graph;
  ExecutorOptions options;
  FixedValues<T> fixed;
  Inference<T> inference;

  // Training.
  Block<T> kept_block;
  std::vector<View<T>> kept;  // by value: inputs and results of the whole batch, in the block
  std::vector<OpState> states;
  std::vector<bool> wanted, reaches;  // by value: gradient asked for; gradient needed on the way
  std::vector<Tensor<T>> kept_gradients;
  Block<T> gradient_arena;
  std::vector<std::size_t> gradient_offsets;
  std::vector<int> clamp_of;      // by node: of a batch norm, the Relu or Clip that is done with it; else -1
  std::vector<bool> done_before;  // by node: such a Relu or Clip
  bool fused = false;
  int planned_batch = 0;
  std::uint64_t step = 0;

  Impl(const Graph& source, ExecutorOptions opts)
      : graph(source), options(opts), fixed(graph), inference(graph, fixed, std::max(1, opts.piece)) {
    require(options.piece >= 1, "ExecutorOptions::piece must be at least 1");
    states.resize(graph.nodes().size());
    wanted.assign(graph.values().size(), false);
    for (const ValueId id : graph.parameters()) wanted[index_of(id)] = true;
  }

  bool training() const { return options.mode == Mode::training; }

  void run_node(std::size_t index, std::span<const View<const T>> in, View<T> out, OpState& state) {
    const Node& node = graph.nodes()[index];
    std::vector<View<T>> updated;
    if (std::holds_alternative<BatchNorm>(node.op)) {
      for (const std::size_t i : {3u, 4u}) updated.push_back(fixed.parameter(node.in[i]));
    }
    const Forward<T> forward{.in = in,
                             .out = out,
                             .state = state,
                             .mode = options.mode,
                             .seed = node_seed(index),
                             .parameter_version = fixed.version(),
                             .updated = updated};
    if (const auto* norm = std::get_if<BatchNorm>(&node.op); norm != nullptr && !clamp_of.empty()) {
      return batch_norm_forward(*norm, forward, limits_behind(index));
    }
    std::visit([&](const auto& op) { op.forward(forward); }, node.op);
  }

  std::uint64_t node_seed(std::size_t index) const { return Random(options.seed, step).word(index); }

  /// Batch norms whose result only a Relu or Clip reads: one sweep does both, and what is between is not kept.
  void plan_fusion(bool fuse) {
    fused = fuse;
    clamp_of.assign(graph.nodes().size(), -1);
    done_before.assign(graph.nodes().size(), false);
    for (std::size_t i = 0; fuse && i < graph.nodes().size(); ++i) {
      const Node& node = graph.nodes()[i];
      const std::vector<int> readers = graph.consumers(node.out);
      if (!std::holds_alternative<BatchNorm>(node.op) || readers.size() != 1 || node.out == graph.output()) continue;
      const auto next = static_cast<std::size_t>(readers[0]);
      const Op& op = graph.nodes()[next].op;
      if (wanted[index_of(node.out)] || !(std::holds_alternative<Relu>(op) || std::holds_alternative<Clip>(op)))
        continue;
      clamp_of[i] = readers[0];
      done_before[next] = true;
    }
  }

  /// The clamp behind batch norm `index`: none without one.
  Limits<T> limits_behind(std::size_t index) const {
    if (clamp_of[index] < 0) return {};
    const Op& op = graph.nodes()[static_cast<std::size_t>(clamp_of[index])].op;
    if (const auto* clip = std::get_if<Clip>(&op)) return {static_cast<T>(clip->lo), static_cast<T>(clip->hi)};
    return {.lo = T(0)};
  }
  /// What node `index` writes: its own result, or that of the clamp behind it.
  ValueId written_by(std::size_t index) const {
    const int clamp = clamp_of[index];
    return graph.nodes()[clamp < 0 ? index : static_cast<std::size_t>(clamp)].out;
  }

  void plan_training(int batch, bool fuse) {
    if (batch == planned_batch && fuse == fused) return;
    plan_fusion(fuse);
    kept.assign(graph.values().size(), {});
    std::size_t elements = 0;
    std::vector<std::size_t> offsets(kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const Value& value = graph.values()[i];
      if (value.kind == ValueKind::parameter) continue;
      const bool one = fixed.is_constant()[i] || is_scalar_loss(static_cast<ValueId>(i));
      kept[i].shape = one ? value.shape : value.shape.with_batch(batch);
      offsets[i] = elements;
      if (value.node >= 0 && clamp_of[static_cast<std::size_t>(value.node)] >= 0) continue;  // lives nowhere
      elements += (static_cast<std::size_t>(kept[i].count()) + 15) / 16 * 16;
    }
    kept_block = Block<T>(elements);
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (graph.values()[i].kind != ValueKind::parameter) kept[i].data = kept_block.data() + offsets[i];
    }
    planned_batch = batch;
    plan_gradients();
  }

  /// Losses reduce over the batch: their results have no batch extent.
  bool is_scalar_loss(ValueId id) const {
    const Node* node = graph.producer(id);
    return node != nullptr &&
           (std::holds_alternative<CrossEntropy>(node->op) || std::holds_alternative<Distillation>(node->op));
  }

  void plan_gradients() {
    reaches.assign(graph.values().size(), false);
    for (std::size_t i = 0; i < wanted.size(); ++i) reaches[i] = wanted[i];
    for (const Node& node : graph.nodes()) {
      for (const ValueId id : node.in) {
        if (reaches[index_of(id)]) reaches[index_of(node.out)] = true;
      }
    }
    kept_gradients.resize(graph.values().size());
    gradient_offsets.assign(graph.values().size(), 0);
    const auto steps = static_cast<int>(graph.nodes().size());
    std::vector<Lifetime> lifetimes;
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < graph.values().size(); ++i) {
      kept_gradients[i].resize({0, 0, 0, 0});
      if (!reaches[i]) continue;
      const Value& value = graph.values()[i];
      const auto id = static_cast<ValueId>(i);
      if (value.kind != ValueKind::result || wanted[i]) {
        kept_gradients[i].resize(value.kind == ValueKind::parameter ? value.shape : kept[i].shape);
        continue;
      }
      if (clamp_of[static_cast<std::size_t>(value.node)] >= 0) continue;
      const std::vector<int> readers = graph.consumers(id);
      const int last = readers.empty() ? value.node : readers.back();
      const int made = done_before[static_cast<std::size_t>(value.node)]
                           ? graph.value(graph.nodes()[static_cast<std::size_t>(value.node)].in[0]).node
                           : value.node;
      lifetimes.push_back({steps - 1 - last, steps - 1 - made, static_cast<std::size_t>(kept[i].count()) * sizeof(T)});
      indices.push_back(i);
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    gradient_arena = Block<T>(plan.bytes / sizeof(T));
    for (std::size_t k = 0; k < indices.size(); ++k) gradient_offsets[indices[k]] = plan.offsets[k] / sizeof(T);
  }

  View<const T> kept_view(ValueId id) const {
    return graph.is_parameter(id) ? fixed.view(id) : View<const T>(kept[index_of(id)]);
  }

  View<T> gradient_view(ValueId id) {
    const std::size_t i = index_of(id);
    if (!reaches[i]) return {};
    if (kept_gradients[i].count() > 0) return kept_gradients[i].view();
    return {gradient_arena.data() + gradient_offsets[i], kept[i].shape};
  }

  View<const T> train_forward(std::span<const View<const float>> inputs, const Tap<T>& tap) {
    plan_training(inputs[0].shape.n, options.fuse && !tap);
    ++step;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueId id = graph.inputs()[i];
      convert<T>(inputs[i].span(), kept[index_of(id)].span());
      if (tap) tap(id, kept_view(id), 0);
    }
    std::vector<View<const T>> in;
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
      if (done_before[i]) continue;
      const Node& node = graph.nodes()[i];
      in.clear();
      for (const ValueId id : node.in) in.push_back(kept_view(id));
      run_node(i, in, kept[index_of(written_by(i))], states[i]);
      if (tap) tap(node.out, kept_view(node.out), 0);
    }
    return kept_view(graph.output());
  }

  /// The gradient buffers of a node's inputs. The first touch of a gradient makes it zero, by a bit of `fresh` where
  /// the op heeds it, else by clearing it: ops only ever add.
  std::uint32_t begin_inputs(const Node& node, std::vector<bool>& begun, std::vector<View<T>>& din) {
    const bool takes_fresh =
        std::visit([](const auto& op) { return TakesFresh<std::remove_cvref_t<decltype(op)>>; }, node.op);
    std::uint32_t fresh = 0;
    din.clear();
    for (std::size_t k = 0; k < node.in.size(); ++k) {
      const ValueId id = node.in[k];
      din.push_back(gradient_view(id));
      if (!din.back() || begun[index_of(id)]) continue;
      begun[index_of(id)] = true;
      if (takes_fresh && k < 32 && std::count(node.in.begin(), node.in.end(), id) == 1 && !graph.is_parameter(id)) {
        fresh |= 1u << k;
      } else {
        std::fill_n(din.back().data, din.back().count(), T(0));
      }
    }
    return fresh;
  }

  void train_backward(View<const T> dout) {
    const ValueId output_id = graph.output();
    require(dout.count() == kept_view(output_id).count(), "backward: dout has another shape than the output");
    std::vector<bool> begun(graph.values().size(), false);
    for (auto& gradient : kept_gradients) std::fill(gradient.span().begin(), gradient.span().end(), T(0));
    const View<T> seed = gradient_view(output_id);
    if (!seed) return;
    begun[index_of(output_id)] = true;
    std::copy_n(dout.data, dout.count(), seed.data);
    std::vector<View<const T>> in;
    std::vector<View<T>> din;
    for (std::size_t i = graph.nodes().size(); i-- > 0;) {
      const Node& node = graph.nodes()[i];
      const ValueId out = written_by(i);
      if (done_before[i] || !reaches[index_of(out)] || !begun[index_of(out)]) continue;
      in.clear();
      for (const ValueId id : node.in) in.push_back(kept_view(id));
      const std::uint32_t fresh = begin_inputs(node, begun, din);
      const Backward<T> backward{.in = in,
                                 .out = kept_view(out),
                                 .dout = gradient_view(out),
                                 .din = din,
                                 .state = states[i],
                                 .seed = node_seed(i),
                                 .fresh = fresh};
      if (const auto* norm = std::get_if<BatchNorm>(&node.op)) {
        batch_norm_backward(*norm, backward, limits_behind(i));
      } else {
        std::visit([&](const auto& op) { op.backward(backward); }, node.op);
      }
    }
  }
};

template <class T>
Executor<T>::Executor(const Graph& graph, ExecutorOptions options) : impl_(std::make_unique<Impl>(graph, options)) {}
template <class T>
Executor<T>::~Executor() = default;
template <class T>
Executor<T>::Executor(Executor&&) noexcept = default;
template <class T>
Executor<T>& Executor<T>::operator=(Executor&&) noexcept = default;

template <class T>
View<const T> Executor<T>::forward(std::span<const View<const float>> inputs, const Tap<T>& tap) {
  const Graph& graph = impl_->graph;
  require(inputs.size() == graph.inputs().size() && !inputs.empty(), "forward: one view per graph input");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Shape wanted = graph.shape(graph.inputs()[i]).with_batch(inputs[0].shape.n);
    require(inputs[i].shape == wanted, "forward: input '" + graph.name(graph.inputs()[i]) + "' is " +
                                           to_string(inputs[i].shape) + ", the graph wants " + to_string(wanted));
  }
  return impl_->training() ? impl_->train_forward(inputs, tap) : impl_->inference.run(inputs, tap);
}

template <class T>
void Executor<T>::backward(View<const T> dout) {
  require(impl_->training(), "backward needs Mode::training");
  require(impl_->planned_batch > 0, "backward before forward");
  impl_->train_backward(dout);
}

template <class T>
void Executor<T>::set_step(std::uint64_t step) {
  impl_->step = step;
}

template <class T>
View<const T> Executor<T>::gradient(ValueId id) const {
  require(!impl_->wanted.empty() && impl_->wanted[index_of(id)],
          "the gradient of '" + impl_->graph.name(id) + "' was not wanted");
  return impl_->gradient_view(id);
}

template <class T>
void Executor<T>::want_gradients(std::span<const ValueId> ids) {
  impl_->wanted.assign(impl_->graph.values().size(), false);
  for (const ValueId id : ids) impl_->wanted[index_of(id)] = true;
  impl_->planned_batch = 0;  // what is kept depends on it
}

template <class T>
View<const T> Executor<T>::parameter(ValueId id) const {
  require(impl_->graph.is_parameter(id), "'" + impl_->graph.name(id) + "' is not a parameter");
  return impl_->fixed.view(id);
}

template <class T>
View<T> Executor<T>::update_parameter(ValueId id) {
  require(impl_->graph.is_parameter(id), "'" + impl_->graph.name(id) + "' is not a parameter");
  impl_->fixed.touch();
  return impl_->fixed.parameter(id);
}

template <class T>
void Executor<T>::set_parameter(ValueId id, std::span<const T> elements) {
  const View<T> view = update_parameter(id);
  require(view.span().size() == elements.size(), "set_parameter: another number of elements");
  std::copy(elements.begin(), elements.end(), view.data);
}

template <class T>
void Executor<T>::set_attributes(int node, const Op& op) {
  require(impl_->training(), "set_attributes needs Mode::training");
  impl_->graph.set_attributes(node, op);
  impl_->fixed.touch();
}

template <class T>
const Graph& Executor<T>::graph() const {
  return impl_->graph;
}

template <class T>
Graph Executor<T>::graph_with_parameters() const {
  Graph graph = impl_->graph;
  for (const ValueId id : graph.parameters()) {
    const View<const T> from = impl_->fixed.view(id);
    std::transform(from.data, from.data + from.count(), graph.tensor(id).span().begin(),
                   [](T x) { return static_cast<float>(x); });
  }
  return graph;
}

template <class T>
std::size_t Executor<T>::activation_bytes() const {
  std::size_t elements = impl_->gradient_arena.size();
  elements += impl_->kept_block.size();
  for (const auto& tensor : impl_->kept_gradients) elements += static_cast<std::size_t>(tensor.count());
  return elements * sizeof(T) + impl_->inference.bytes();
}

template class Executor<float>;
template class Executor<double>;

}  // namespace binade
