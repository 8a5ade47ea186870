// Inference: plans, packed weights, and one piece after the other.
#include "core/execute/inference.hpp"

#include <algorithm>

#include "core/base/memory_plan.hpp"
#include "core/base/parallel.hpp"

namespace binade {
namespace {

ConvGeometry geometry_of(const Graph& graph, const Node& node) {
  const Shape &x = graph.shape(node.in[0]), &y = graph.shape(node.out);
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) return conv_geometry(*conv, x, graph.shape(node.in[1]), y);
  return {.ih = x.h, .iw = x.w, .ic = x.c, .oh = x.h, .ow = x.w, .oc = y.c};
}

/// Values that a step reads from the arena or the inputs.
std::vector<ValueId> read_by(const Graph& graph, const Step& step) {
  std::vector<ValueId> ids;
  if (step.kind == Step::Kind::sweep) {
    ids = {step.in};
  } else {
    ids = graph.nodes()[static_cast<std::size_t>(step.head)].in;
  }
  if (index_of(step.residual) < graph.values().size()) ids.push_back(step.residual);
  return ids;
}

}  // namespace

template <class T>
Inference<T>::Inference(const Graph& graph, FixedValues<T>& fixed, int piece)
    : graph_(graph), fixed_(fixed), piece_(piece), kernels_(graph.nodes().size()) {
  fused_ = make_plan(true);
  separate_ = make_plan(false);
  for (const Step& step : fused_.steps) {
    if (step.kind != Step::Kind::convolution) continue;
    const auto head = static_cast<std::size_t>(step.head);
    kernels_[head].emplace(geometry_of(graph, graph.nodes()[head]));
  }
}

template <class T>
typename Inference<T>::Plan Inference<T>::make_plan(bool fuse) const {
  constexpr bool kFast = std::is_same_v<T, float>;
  Plan plan;
  plan.steps = kFast ? plan_steps(graph_, fixed_.is_constant(), fuse) : plain_steps(graph_, fixed_.is_constant());
  std::vector<int> last(graph_.values().size(), -1);  // by value: the last step that reads it
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    for (const ValueId id : read_by(graph_, plan.steps[i])) last[index_of(id)] = static_cast<int>(i);
  }
  std::vector<Lifetime> lifetimes;
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const ValueId id = plan.steps[i].out;
    if (id == graph_.output()) continue;
    const auto made = static_cast<int>(i);
    const auto elements = static_cast<std::size_t>(graph_.shape(id).count() * piece_);
    lifetimes.push_back({made, std::max(made, last[index_of(id)]), elements * sizeof(T)});
    ids.push_back(id);
  }
  const MemoryPlan memory = plan_memory(lifetimes);
  plan.offsets.assign(graph_.values().size(), 0);
  for (std::size_t i = 0; i < ids.size(); ++i) plan.offsets[index_of(ids[i])] = memory.offsets[i] / sizeof(T);
  plan.elements = memory.bytes / sizeof(T);
  return plan;
}

/// Renews what was derived from parameters: constants, and the weights as the kernels want them.
template <class T>
void Inference<T>::pack() {
  fixed_.renew();
  if (packed_version_ == fixed_.version()) return;
  if constexpr (std::is_same_v<T, float>) {
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      if (kernels_[i]) kernels_[i]->pack(fixed_.view(graph_.nodes()[i].in[1]).data);
    }
  }
  packed_version_ = fixed_.version();
}

template <class T>
View<const T> Inference<T>::view(const Lane& lane, ValueId id) const {
  return fixed_.is_constant(id) ? fixed_.view(id) : lane.views[index_of(id)];
}

template <class T>
void Inference<T>::run_node(const Step& step, Lane& lane, View<T> out) const {
  const auto head = static_cast<std::size_t>(step.head);
  const Node& node = graph_.nodes()[head];
  lane.in.clear();
  for (const ValueId id : node.in) lane.in.push_back(view(lane, id));
  // Weights that come from an image are new at each call: 0 says so.
  const bool fixed_weights = node.in.size() < 2 || fixed_.is_constant(node.in[1]);
  const Forward<T> forward{
      .in = lane.in, .out = out, .state = lane.states[head], .parameter_version = fixed_weights ? fixed_.version() : 0};
  binade::forward(node.op, forward);
}

template <class T>
void Inference<T>::run_step(const Step& step, Lane& lane, View<T> out) const {
  if (step.kind == Step::Kind::node) return run_node(step, lane, out);
  if constexpr (std::is_same_v<T, float>) {
    simd::Epilogue epilogue = step.epilogue;
    const bool adds = index_of(step.residual) < graph_.values().size();
    if (adds) epilogue.residual = view(lane, step.residual).data;
    if (step.kind == Step::Kind::sweep) {
      return simd::pointwise().sweep(view(lane, step.in).data, out.data, out.count(), epilogue);
    }
    const auto head = static_cast<std::size_t>(step.head);
    const Node& node = graph_.nodes()[head];
    const View<const float> x = view(lane, node.in[0]);
    const float* bias = node.in.size() > 2 ? fixed_.view(node.in[2]).data : nullptr;
    const std::int64_t stride = out.count() / out.shape.n;
    for (int i = 0; i < out.shape.n; ++i) {
      kernels_[head]->forward(x.images(i, 1).data, bias, out.data + i * stride, epilogue);
      if (adds) epilogue.residual += stride;
    }
  }
}

template <class T>
void Inference<T>::load_inputs(Lane& lane, std::span<const View<const float>> inputs, int first, int images) {
  lane.inputs.resize(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const View<const float> part = inputs[i].images(first, images);
    View<const T>& view = lane.views[index_of(graph_.inputs()[i])];
    if constexpr (std::is_same_v<T, float>) {
      view = part;
    } else {
      lane.inputs[i].resize(part.shape);
      std::copy_n(part.data, part.count(), lane.inputs[i].data());
      view = lane.inputs[i].view();
    }
  }
}

template <class T>
void Inference<T>::run_piece(const Plan& plan, std::span<const View<const float>> inputs, int first, int images,
                             const Tap<T>& tap) {
  Lane& lane = lanes_[static_cast<std::size_t>(current_lane())];
  if (lane.arena.size() < plan.elements) lane.arena = Block<T>(plan.elements);
  lane.states.resize(graph_.nodes().size());
  lane.views.resize(graph_.values().size());
  load_inputs(lane, inputs, first, images);
  if (tap) {
    for (const ValueId id : graph_.inputs()) tap(id, lane.views[index_of(id)], first);
  }
  for (const Step& step : plan.steps) {
    const Shape shape = graph_.shape(step.out).with_batch(graph_.shape(step.out).n * images);
    const View<T> out = step.out == graph_.output()
                            ? output_.view().images(first, images)
                            : View<T>{lane.arena.data() + plan.offsets[index_of(step.out)], shape};
    run_step(step, lane, out);
    lane.views[index_of(step.out)] = out;
    if (tap) tap(step.out, out, first);
  }
}

template <class T>
View<const T> Inference<T>::run(std::span<const View<const float>> inputs, const Tap<T>& tap) {
  const int batch = inputs[0].shape.n;
  pack();
  const ValueId out = graph_.output();
  output_.resize(graph_.shape(out).with_batch(batch));
  if (fixed_.is_constant(out)) {  // nothing depends on the image
    const View<const T> constant = fixed_.view(out);
    for (int i = 0; i < batch; ++i) std::copy_n(constant.data, constant.count(), output_.view().images(i, 1).data);
    return output_.view();
  }
  lanes_.resize(static_cast<std::size_t>(thread_count()));
  const int pieces = (batch + piece_ - 1) / piece_;
  parallel_for(pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto piece = static_cast<int>(begin); piece < end; ++piece) {
      const int first = piece * piece_;
      run_piece(tap ? separate_ : fused_, inputs, first, std::min(piece_, batch - first), tap);
    }
  });
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (graph_.inputs()[i] == out) std::copy_n(inputs[i].data, inputs[i].count(), output_.data());
  }
  return output_.view();
}

template <class T>
std::size_t Inference<T>::bytes() const {
  std::size_t elements = 0;
  for (const Lane& lane : lanes_) elements += lane.arena.size();
  return elements * sizeof(T);
}

template class Inference<float>;
template class Inference<double>;

}  // namespace binade
