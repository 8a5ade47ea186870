// Training image by image: stages forward and backward, chunks of images per thread, sums in the order of chunks.
#include "core/execute/depth_first.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"

namespace binade {
namespace {

std::vector<bool> constant_nodes(const Graph& graph, const std::vector<bool>& is_constant) {
  std::vector<bool> nodes;
  for (const Node& node : graph.nodes()) nodes.push_back(is_constant[index_of(node.out)]);
  return nodes;
}

std::vector<bool> either(std::vector<bool> a, const std::vector<bool>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = a[i] || b[i];
  return a;
}

}  // namespace

template <class T>
bool DepthFirst<T>::applies(const Graph& graph, const std::vector<bool>& wanted) {
  if (!BatchLosses::applies(graph)) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] && !graph.is_parameter(static_cast<ValueId>(i))) return false;
  }
  return true;
}

template <class T>
DepthFirst<T>::DepthFirst(const Graph& graph, FixedValues<T>& fixed, const std::vector<bool>& wanted, int piece)
    : graph_(graph),
      fixed_(fixed),
      reaches_(gradients_on_the_way(graph, wanted)),
      piece_(std::max(1, piece)),
      losses_(graph),
      stages_(stages_of(graph, fixed.is_constant())),
      is_sum_(read_by_images(graph, stages_, fixed.is_constant(), reaches_)),
      constants_(graph, fixed,
                 {.nodes = constant_nodes(graph, fixed.is_constant()),
                  .reaches = reaches_,
                  .outside = either(wanted, is_sum_),
                  .begun = either(wanted, is_sum_),
                  .placed = {},
                  .again = {}}),
      sums_(static_cast<std::size_t>(stages_.count)),
      touched_(touched_values(graph, stages_)),
      constant_gradients_(graph.values().size()) {
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (stages_.of_node[i] < 0) continue;
    if (stages_.is_norm[i]) {
      const int clamp = clamp_behind_norm(graph, i);
      norms_.push_back({.node = i,
                        .x = node.in[0],
                        .written = clamp < 0 ? node.out : graph.nodes()[static_cast<std::size_t>(clamp)].out,
                        .clamp = clamp,
                        .normalizer = {},
                        .moments = {},
                        .gradients = {}});
      continue;
    }
    Sums& sums = sums_[static_cast<std::size_t>(stages_.of_node[i])];
    for (const ValueId id : node.in) {
      const std::size_t value = index_of(id);
      if (!is_sum_[value] || std::count(sums.values.begin(), sums.values.end(), value) > 0) continue;
      sums.values.push_back(value);
      sums.offsets.push_back(sums.elements);
      sums.elements += in_lines(graph.shape(id).count());
      if (!graph.is_parameter(id)) constant_gradients_[value].resize(graph.shape(id));
    }
  }
  std::size_t most = 0;
  for (const Sums& sums : sums_) most = std::max(most, sums.elements);
  totals_ = Block<T>(most);
}

template <class T>
Limits<T> DepthFirst<T>::limits(const Norm& norm) const {
  return limits_of<T>(norm.clamp < 0 ? nullptr : &graph_.nodes()[static_cast<std::size_t>(norm.clamp)].op);
}

/// Pieces and chunks of a batch, and memory for what is kept of it.
template <class T>
void DepthFirst<T>::plan(int batch) {
  if (batch == batch_) return;
  batch_ = batch;
  BatchCut cut = cut_batch(batch, piece_);
  pieces_ = std::move(cut.pieces);
  chunks_ = std::move(cut.chunks);
  for (Norm& norm : norms_) {
    norm.moments.resize(pieces_.size());
    norm.gradients.resize(pieces_.size());
  }
  memory_.plan(graph_, stages_, reaches_, batch);
}

template <class T>
TrainingPart DepthFirst<T>::part_of(int stage) const {
  TrainingPart part{.nodes = {},
                    .reaches = reaches_,
                    .outside = either(is_sum_, stages_.has_batch_gradient),
                    .begun = is_sum_,
                    .placed = stages_.is_kept,
                    .again = stages_.is_made_again,
                    .given_statistics = stages_.count > 1};
  for (const int of_node : stages_.of_node) part.nodes.push_back(of_node == stage);
  for (std::size_t i = 0; i < part.begun.size(); ++i) {
    if (stages_.has_batch_gradient[i] && stages_.last_reader[i] > stage) part.begun[i] = true;
  }
  for (const Norm& norm : norms_) {  // its backward pass comes first
    const std::size_t x = index_of(norm.x);
    if (stages_.of_node[norm.node] == stage + 1 && reaches_[x]) part.begun[x] = true;
  }
  for (const ValueId id : losses_.values()) part.outside[index_of(id)] = part.begun[index_of(id)] = true;
  return part;
}

template <class T>
std::unique_ptr<typename DepthFirst<T>::Runner> DepthFirst<T>::make_runner() const {
  auto runner = std::make_unique<Runner>();
  for (int stage = 0; stage < stages_.count; ++stage) {
    runner->passes.push_back(std::make_unique<TrainingPass<T>>(graph_, fixed_, part_of(stage)));
    for (const Norm& norm : norms_) runner->passes.back()->give(norm.node, &norm.normalizer);
  }
  runner->sums = Block<T>(totals_.size());
  runner->gradients.resize(graph_.values().size());
  return runner;
}

/// Memory and constants for a runner's passes.
template <class T>
void DepthFirst<T>::bind(Runner& runner, const Call& call) {
  std::size_t values = 0, gradients = 0;
  for (const auto& pass : runner.passes) {
    pass->plan({.batch = std::min(piece_, batch_),
                .fuse = call.options.fuse,
                .own_memory = false,
                .timed = call.options.timed});
    values = std::max(values, pass->memory().values);
    gradients = std::max(gradients, pass->memory().gradients);
    for (std::size_t i = 0; i < is_sum_.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      if (fixed_.is_constant(id) && !graph_.is_parameter(id)) pass->lend(id, constants_.value(id));
    }
  }
  if (runner.values.size() < values) runner.values = Block<T>(values);
  if (runner.scratch.size() < gradients) runner.scratch = Block<T>(gradients);
}

/// Tells a pass where the piece's values and gradients are.
template <class T>
void DepthFirst<T>::place(Runner& runner, int stage, const Call& call, std::size_t piece) {
  TrainingPass<T>& pass = *runner.passes[static_cast<std::size_t>(stage)];
  const Piece part = pieces_[piece];
  pass.plan({.batch = part.count, .fuse = call.options.fuse, .own_memory = false, .timed = call.options.timed});
  pass.bind(runner.values.data(), runner.scratch.data());
  for (const std::size_t i : touched_[static_cast<std::size_t>(stage)]) {
    if (stages_.is_kept[i]) pass.place(static_cast<ValueId>(i), memory_.value(i, part));
    if (stages_.has_batch_gradient[i] && reaches_[i]) runner.gradients[i] = memory_.gradient(i, part);
  }
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    if constexpr (std::is_same_v<T, float>) {
      pass.lend(graph_.inputs()[i], call.inputs[i].images(part.first, part.count));
    } else {
      pass.lend(graph_.inputs()[i], std::as_const(inputs_[i]).view().images(part.first, part.count));
    }
  }
}

template <class T>
typename TrainingPass<T>::Step DepthFirst<T>::step_of(const Call& call, std::size_t piece) const {
  auto step = call.options.step;
  step.first_image = pieces_[piece].first;
  return step;
}

template <class T>
double DepthFirst<T>::forward(Runner& runner, int stage, const Call& call, std::size_t piece) {
  place(runner, stage, call, piece);
  TrainingPass<T>& pass = *runner.passes[static_cast<std::size_t>(stage)];
  pass.forward({}, step_of(call, piece), call.tap);
  for (Norm& norm : norms_) {
    if (stages_.of_node[norm.node] != stage + 1) continue;
    const NodeTimer timer(call.options.timed, pass.times()[norm.node].forward);
    norm.moments[piece] = moments_of(pass.value(norm.x));
  }
  if (stage + 1 < stages_.count) return 0;
  std::vector<T> begin(losses_.values().size());
  const double loss = begin_losses(runner, pass, piece, begin);
  backward(runner, stage, call, piece, false);
  return loss;
}

/// The piece's part of the loss; `begin` receives the gradients of the losses, with which backward begins.
template <class T>
double DepthFirst<T>::begin_losses(Runner& runner, const TrainingPass<T>& pass, std::size_t piece,
                                   std::vector<T>& begin) {
  std::vector<double> of_piece(begin.size()), weights(begin.size());
  for (std::size_t k = 0; k < begin.size(); ++k) {
    of_piece[k] = static_cast<double>(pass.value(losses_.values()[k]).data[0]);
  }
  const double part = losses_.part(pieces_[piece].first, pieces_[piece].count, of_piece, weights);
  for (std::size_t k = 0; k < begin.size(); ++k) {
    begin[k] = static_cast<T>(weights[k]);
    runner.gradients[index_of(losses_.values()[k])] = {&begin[k], {1, 1, 1, 1}};
  }
  return part;
}

template <class T>
void DepthFirst<T>::backward(Runner& runner, int stage, const Call& call, std::size_t piece, bool again) {
  TrainingPass<T>& pass = *runner.passes[static_cast<std::size_t>(stage)];
  if (again) pass.refresh(step_of(call, piece));
  for (const Norm& norm : norms_) {
    const ValueId x = norm.x;
    if (stages_.of_node[norm.node] != stage + 1 || !reaches_[index_of(x)]) continue;
    const NodeTimer timer(call.options.timed, pass.times()[norm.node].backward);
    const View<T> dy = memory_.gradient(index_of(norm.written), pieces_[piece]);
    const bool add = stages_.has_batch_gradient[index_of(x)] && stages_.last_reader[index_of(x)] > stage;
    norm.normalizer.gradient(pass.value(x), dy.data, limits(norm), pass.gradient_view(x, runner.gradients).data, add);
  }
  pass.backward(runner.gradients);
  for (Norm& norm : norms_) {
    if (stages_.of_node[norm.node] != stage) continue;
    const NodeTimer timer(call.options.timed, pass.times()[norm.node].backward);
    const View<T> dy = memory_.gradient(index_of(norm.written), pieces_[piece]);
    norm.gradients[piece] = norm.normalizer.gradient_sums(pass.value(norm.x), dy.data, limits(norm));
  }
}

/// Adds the sums of a chunk to the totals when all chunks before it are there.
template <class T>
void DepthFirst<T>::add_in_turn(const Runner& runner, const Sums& sums, int chunk, double loss) {
  std::unique_lock lock(mutex_);
  turn_changed_.wait(lock, [&] { return turn_ == chunk || failed_; });
  if (failed_) return;
  lock.unlock();
  const T* from = runner.sums.data();
  T* to = totals_.data();
  const auto count = static_cast<std::int64_t>(sums.elements);
  if (chunk == 0) {
    std::copy_n(from, count, to);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
  }
  lock.lock();
  loss_ += loss;
  ++turn_;
  turn_changed_.notify_all();
}

template <class T>
void DepthFirst<T>::run_chunks(Runner& runner, int stage, bool adds, const Work& work, std::atomic<int>& next) {
  const Sums& sums = sums_[static_cast<std::size_t>(stage)];
  for (std::size_t k = 0; k < sums.values.size(); ++k) {
    runner.gradients[sums.values[k]] = {runner.sums.data() + sums.offsets[k], graph_.values()[sums.values[k]].shape};
  }
  try {
    const int chunks = static_cast<int>(chunks_.size());
    for (int chunk = next++; chunk < chunks; chunk = next++) {
      if (adds) std::fill_n(runner.sums.data(), sums.elements, T(0));
      const auto [begin, end] = chunks_[static_cast<std::size_t>(chunk)];
      double loss = 0;
      for (std::size_t piece = begin; piece < end; ++piece) loss += work(runner, piece);
      if (adds) add_in_turn(runner, sums, chunk, loss);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    turn_changed_.notify_all();
    throw;
  }
}

/// All images through one stage, there or back; with `adds` sums over images come together in the totals.
template <class T>
void DepthFirst<T>::run_stage(int stage, bool adds, const Work& work) {
  turn_ = 0;
  failed_ = false;
  std::atomic<int> next{0};
  const int threads = std::min(thread_count(), static_cast<int>(chunks_.size()));
  parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      run_chunks(*runners_[static_cast<std::size_t>(i)], stage, adds, work, next);
    }
  });
}

/// Completes the gradients, and the backward pass of the stage's norms, from the stage's sums.
template <class T>
void DepthFirst<T>::collect(int stage, std::span<const View<T>> gradients) {
  const Sums& sums = sums_[static_cast<std::size_t>(stage)];
  for (std::size_t k = 0; k < sums.values.size(); ++k) {
    const std::size_t value = sums.values[k];
    const T* from = totals_.data() + sums.offsets[k];
    const View<T> to = gradients[value];
    parallel_for(to.count(), std::int64_t{1} << 15, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to.data[i] += from[i];
    });
  }
  for (Norm& norm : norms_) {
    if (stages_.of_node[norm.node] != stage) continue;
    std::vector<double> total = norm.gradients.front();
    for (std::size_t piece = 1; piece < pieces_.size(); ++piece) {
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += norm.gradients[piece][i];
    }
    const Node& node = graph_.nodes()[norm.node];
    const double pixels = static_cast<double>(graph_.shape(node.in[0]).pixels()) * batch_;
    norm.normalizer.set_gradient(std::get<BatchNorm>(node.op), fixed_.view(node.in[1]), total, pixels,
                                 gradients[index_of(node.in[1])].data, gradients[index_of(node.in[2])].data);
  }
}

/// The statistics of the norms that the next stage begins with.
template <class T>
void DepthFirst<T>::set_statistics(int stage) {
  for (Norm& norm : norms_) {
    if (stages_.of_node[norm.node] != stage) continue;
    ChannelMoments batch;
    for (const ChannelMoments& of_piece : norm.moments) batch.add(of_piece);
    const Node& node = graph_.nodes()[norm.node];
    const std::vector<View<T>> updated{fixed_.parameter(node.in[3]), fixed_.parameter(node.in[4])};
    norm.normalizer.set(std::get<BatchNorm>(node.op), fixed_.view(node.in[1]), fixed_.view(node.in[2]), batch, updated);
  }
}

template <class T>
T DepthFirst<T>::step(std::span<const View<const float>> inputs, std::span<const View<T>> gradients,
                      const Options& options, const Tap<T>& tap) {
  require(stages_.count == 1 || (options.fuse && !tap), "a step in several stages is fused and cannot be tapped");
  const Call call{.inputs = inputs, .options = options, .tap = tap};
  plan(inputs[0].shape.n);
  losses_.count(inputs);
  if constexpr (!std::is_same_v<T, float>) {
    inputs_.resize(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs_[i].resize(inputs[i].shape);
      std::copy_n(inputs[i].data, inputs[i].count(), inputs_[i].data());
    }
  }
  constants_.plan({.batch = 1, .fuse = false});
  constants_.forward({}, options.step, tap);
  while (runners_.size() < static_cast<std::size_t>(thread_count())) runners_.push_back(make_runner());
  for (const auto& runner : runners_) bind(*runner, call);
  std::vector<View<T>> to(gradients.begin(), gradients.end());
  for (std::size_t i = 0; i < constant_gradients_.size(); ++i) {
    Tensor<T>& gradient = constant_gradients_[i];
    if (gradient.count() == 0) continue;
    std::fill(gradient.span().begin(), gradient.span().end(), T(0));
    to[i] = gradient.view();
  }
  loss_ = 0;
  const int last = stages_.count - 1;
  for (int stage = 0; stage <= last; ++stage) {
    run_stage(stage, stage == last,
              [&](Runner& runner, std::size_t piece) { return forward(runner, stage, call, piece); });
    set_statistics(stage + 1);
  }
  collect(last, to);
  for (int stage = last - 1; stage >= 0; --stage) {
    run_stage(stage, true, [&](Runner& runner, std::size_t piece) {
      place(runner, stage, call, piece);
      backward(runner, stage, call, piece, true);
      return 0.0;
    });
    collect(stage, to);
  }
  constants_.backward(to);
  return static_cast<T>(loss_);
}

template <class T>
std::size_t DepthFirst<T>::bytes() const {
  std::size_t elements = memory_.elements() + totals_.size();
  for (const auto& runner : runners_) elements += runner->values.size() + runner->scratch.size() + runner->sums.size();
  return constants_.bytes() + elements * sizeof(T);
}

template <class T>
void DepthFirst<T>::add_times(std::vector<NodeTime>& times) const {
  for (const auto& runner : runners_) {
    for (const auto& pass : runner->passes) {
      for (std::size_t i = 0; i < times.size(); ++i) {
        times[i].forward += pass->times()[i].forward;
        times[i].backward += pass->times()[i].backward;
      }
    }
  }
}

template class DepthFirst<float>;
template class DepthFirst<double>;

}  // namespace binade
