// The executor: inference, training of the whole batch and training image by image are elsewhere; here they meet.
#include "core/execute/executor.hpp"

#include <algorithm>
#include <optional>

#include "core/base/denormals.hpp"
#include "core/base/error.hpp"
#include "core/execute/batch_losses.hpp"
#include "core/execute/depth_first.hpp"
#include "core/execute/fixed_values.hpp"
#include "core/execute/inference.hpp"

namespace binade {

template <class T>
struct Executor<T>::Impl {
  Graph graph;
  ExecutorOptions options;
  FixedValues<T> fixed;
  Inference<T> inference;

  // Training.
  std::optional<TrainingPass<T>> whole;
  std::optional<DepthFirst<T>> deep;
  std::vector<bool> wanted, reaches;  // by value: gradient asked for; gradient needed on the way
  std::vector<Tensor<T>> gradients;   // by value: the wanted ones, and the output's to start from
  int batch = 0;                      // of the last forward call
  std::uint64_t step = 0;

  Impl(const Graph& source, ExecutorOptions opts)
      : graph(source), options(opts), fixed(graph), inference(graph, fixed, std::max(1, opts.piece)) {
    require(options.piece >= 1, "ExecutorOptions::piece must be at least 1");
    std::vector<bool> all(graph.values().size(), false);
    for (const ValueId id : graph.parameters()) all[index_of(id)] = true;
    want(all);
  }

  void check_inputs(std::span<const View<const float>> inputs) const {
    require(inputs.size() == graph.inputs().size() && !inputs.empty(), "forward: one view per graph input");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Shape shape = graph.shape(graph.inputs()[i]).with_batch(inputs[0].shape.n);
      require(inputs[i].shape == shape, "forward: input '" + graph.name(graph.inputs()[i]) + "' is " +
                                            to_string(inputs[i].shape) + ", the graph wants " + to_string(shape));
    }
  }

  bool training() const { return options.mode == Mode::training; }

  void want(std::vector<bool> values) {
    wanted = std::move(values);
    reaches = gradients_on_the_way(graph, wanted);
    whole.reset();  // what is kept depends on it
    deep.reset();
    batch = 0;
  }

  typename TrainingPass<T>::Step next_step() { return {.seed = options.seed, .number = ++step, .first_image = 0}; }

  View<const T> train_forward(std::span<const View<const float>> inputs, const Tap<T>& tap) {
    if (!whole) {
      std::vector<bool> outside = wanted;
      outside[index_of(graph.output())] = true;
      whole.emplace(graph, fixed,
                    TrainingPart{.nodes = std::vector<bool>(graph.nodes().size(), true),
                                 .reaches = reaches,
                                 .outside = outside,
                                 .begun = outside,
                                 .placed = {},
                                 .again = {}});
    }
    batch = inputs[0].shape.n;
    whole->plan({.batch = batch, .fuse = options.fuse && !tap, .timed = options.timed});
    whole->forward(inputs, next_step(), tap);
    return whole->value(graph.output());
  }

  /// Zeros where the wanted gradients will be. Those of inputs have the extent of the batch.
  std::vector<View<T>> begin_gradients() {
    gradients.resize(graph.values().size());
    std::vector<View<T>> views(gradients.size());
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!wanted[i]) continue;
      const Value& value = graph.values()[i];
      gradients[i].resize(value.kind == ValueKind::parameter ? value.shape : value.shape.with_batch(batch));
      std::fill(gradients[i].span().begin(), gradients[i].span().end(), T(0));
      views[i] = gradients[i].view();
    }
    return views;
  }

  void train_backward(View<const T> dout) {
    const ValueId output = graph.output();
    require(dout.count() == whole->value(output).count(), "backward: dout has another shape than the output");
    std::vector<View<T>> views = begin_gradients();
    if (!reaches[index_of(output)]) return;
    Tensor<T>& seed = gradients[index_of(output)];
    seed.resize(whole->value(output).shape);
    std::copy_n(dout.data, dout.count(), seed.data());
    views[index_of(output)] = seed.view();
    whole->backward(views);
  }

  T train_step(std::span<const View<const float>> inputs, const Tap<T>& tap, Together together) {
    const bool alone = together == Together::images && options.depth_first && DepthFirst<T>::applies(graph, wanted);
    if (alone && !deep) deep.emplace(graph, fixed, wanted, options.piece);
    const bool fuse = options.fuse && !tap;
    if (!alone || (deep->stage_count() > 1 && !fuse)) {
      const View<const T> loss = train_forward(inputs, tap);
      const T one = 1;
      train_backward({&one, {1, 1, 1, 1}});
      return loss.data[0];
    }
    return deep->step(inputs, begin_gradients(), {.step = next_step(), .fuse = fuse, .timed = options.timed}, tap);
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
  const FlushDenormals flush;
  impl_->check_inputs(inputs);
  return impl_->training() ? impl_->train_forward(inputs, tap) : impl_->inference.run(inputs, tap);
}

template <class T>
void Executor<T>::backward(View<const T> dout) {
  const FlushDenormals flush;
  require(impl_->training(), "backward needs Mode::training");
  require(impl_->batch > 0 && impl_->whole, "backward before forward");
  impl_->train_backward(dout);
}

template <class T>
T Executor<T>::step(std::span<const View<const float>> inputs, const Tap<T>& tap, Together together) {
  const FlushDenormals flush;
  impl_->check_inputs(inputs);
  require(impl_->training(), "step needs Mode::training");
  require(is_loss(impl_->graph, impl_->graph.output()), "step: the graph's output is not a loss");
  return impl_->train_step(inputs, tap, together);
}

template <class T>
void Executor<T>::set_step(std::uint64_t step) {
  impl_->step = step;
}

template <class T>
View<const T> Executor<T>::gradient(ValueId id) const {
  require(impl_->wanted[index_of(id)], "the gradient of '" + impl_->graph.name(id) + "' was not wanted");
  return impl_->gradients[index_of(id)].view();
}

template <class T>
void Executor<T>::want_gradients(std::span<const ValueId> ids) {
  std::vector<bool> wanted(impl_->graph.values().size(), false);
  for (const ValueId id : ids) wanted[index_of(id)] = true;
  impl_->want(wanted);
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
  if (traits_of(op).statistics != 0) impl_->deep.reset();  // it may be cut in other places now
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
std::vector<NodeTime> Executor<T>::node_times() const {
  std::vector<NodeTime> times(impl_->graph.nodes().size());
  if (impl_->whole) times = impl_->whole->times();
  if (impl_->deep) impl_->deep->add_times(times);
  return times;
}

template <class T>
std::size_t Executor<T>::activation_bytes() const {
  std::size_t bytes = impl_->inference.bytes();
  if (impl_->whole) bytes += impl_->whole->bytes();
  if (impl_->deep) bytes += impl_->deep->bytes();
  for (const auto& tensor : impl_->gradients) bytes += static_cast<std::size_t>(tensor.count()) * sizeof(T);
  return bytes;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace binade
