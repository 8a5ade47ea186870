// Training image by image: chunks of images are shared out, gradients come together in the order of the chunks.
#include "core/graph/depth_first.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"

namespace binade {
namespace {

/// Parts that a batch is cut into: enough for the threads of a workstation, few enough to add cheaply.
constexpr int kChunks = 8;

/// The loss that a Distillation adds to; null for other losses.
const ValueId* inner_loss(const Node& node) {
  const bool has_one = std::holds_alternative<Distillation>(node.op) && node.in.size() > 2;
  return has_one ? &node.in[2] : nullptr;
}

bool mixes_images(const Op& op) {
  const auto* norm = std::get_if<BatchNorm>(&op);
  return norm != nullptr && !norm->frozen;
}

/// Whether the labels of a loss, if it has any, come straight from an input.
bool labels_are_given(const Graph& graph, const Node& node) {
  return !std::holds_alternative<CrossEntropy>(node.op) || graph.value(node.in[1]).kind == ValueKind::input;
}

}  // namespace

template <class T>
bool DepthFirst<T>::applies(const Graph& graph, const std::vector<bool>& wanted) {
  if (!is_loss(graph, graph.output())) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] && !graph.is_parameter(static_cast<ValueId>(i))) return false;
  }
  for (const Node& node : graph.nodes()) {
    if (mixes_images(node.op) || !labels_are_given(graph, node)) return false;
    // A loss is the output, or what another loss adds to: nothing else may read it.
    for (const ValueId id : node.in) {
      const ValueId* inner = inner_loss(node);
      if (is_loss(graph, id) && (inner == nullptr || *inner != id)) return false;
    }
    if (is_loss(graph, node.out) && node.out != graph.output() && graph.consumers(node.out).size() != 1) return false;
  }
  return true;
}

namespace {

std::vector<bool> constant_nodes(const Graph& graph, const std::vector<bool>& is_constant, bool constant) {
  std::vector<bool> nodes;
  for (const Node& node : graph.nodes()) nodes.push_back(is_constant[index_of(node.out)] == constant);
  return nodes;
}

/// Parameters and constants that nodes of images read, where their gradients are needed.
std::vector<bool> read_by_images(const Graph& graph, const std::vector<bool>& is_constant,
                                 const std::vector<bool>& reaches) {
  std::vector<bool> read(graph.values().size(), false);
  for (const Node& node : graph.nodes()) {
    if (is_constant[index_of(node.out)]) continue;
    for (const ValueId id : node.in) {
      if (is_constant[index_of(id)] && reaches[index_of(id)]) read[index_of(id)] = true;
    }
  }
  return read;
}

std::vector<bool> either(std::vector<bool> a, const std::vector<bool>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = a[i] || b[i];
  return a;
}

}  // namespace

template <class T>
DepthFirst<T>::DepthFirst(const Graph& graph, FixedValues<T>& fixed, const std::vector<bool>& wanted, int piece)
    : graph_(graph),
      fixed_(fixed),
      reaches_(gradients_on_the_way(graph, wanted)),
      is_sum_(read_by_images(graph, fixed.is_constant(), reaches_)),
      piece_(std::max(1, piece)),
      constants_(graph, fixed,
                 {.nodes = constant_nodes(graph, fixed.is_constant(), true),
                  .reaches = reaches_,
                  .outside = either(wanted, is_sum_)}),
      offsets_(graph.values().size()) {
  for (std::size_t i = 0; i < is_sum_.size(); ++i) {
    if (!is_sum_[i]) continue;
    offsets_[i] = sum_elements_;
    sum_elements_ += (static_cast<std::size_t>(graph.values()[i].shape.count()) + 15) / 16 * 16;
  }
  totals_ = Block<T>(sum_elements_);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (is_loss(graph, graph.nodes()[i].out)) losses_.push_back({.node = i, .counted = {}});
  }
}

/// How much each image counts in each loss.
template <class T>
void DepthFirst<T>::find_losses(std::span<const View<const float>> inputs) {
  const auto images = static_cast<std::size_t>(inputs[0].shape.n);
  for (Loss& loss : losses_) {
    const Node& node = graph_.nodes()[loss.node];
    loss.counted.assign(images, 1);
    if (const auto* entropy = std::get_if<CrossEntropy>(&node.op)) {
      const auto input = std::find(graph_.inputs().begin(), graph_.inputs().end(), node.in[1]);
      const View<const float> labels = inputs[static_cast<std::size_t>(input - graph_.inputs().begin())];
      for (std::size_t i = 0; i < images; ++i) {
        const auto of_image = labels.images(static_cast<int>(i), 1).span();
        const auto ignored = std::count(of_image.begin(), of_image.end(), static_cast<float>(entropy->ignore_label));
        loss.counted[i] = static_cast<double>(of_image.size()) - static_cast<double>(ignored);
      }
    }
    loss.total = 0;
    for (const double count : loss.counted) loss.total += count;
  }
}

/// Forward and backward of some images; returns their part of the loss.
template <class T>
double DepthFirst<T>::run_piece(Runner& runner, const Call& call, int first, int images) {
  std::vector<View<const float>> inputs;
  for (const View<const float>& input : call.inputs) inputs.push_back(input.images(first, images));
  runner.pass->plan({.batch = images, .fuse = call.fuse});
  auto step = call.step;
  step.first_image = first;
  runner.pass->forward(inputs, step, call.tap);

  double sum = 0;
  std::vector<T> weights(losses_.size());
  for (std::size_t k = 0; k < losses_.size(); ++k) {
    const Node& node = graph_.nodes()[losses_[k].node];
    double counted = 0;
    for (int i = first; i < first + images; ++i) counted += losses_[k].counted[static_cast<std::size_t>(i)];
    const double weight = losses_[k].total > 0 ? counted / losses_[k].total : 0;
    weights[k] = static_cast<T>(weight);
    double own = static_cast<double>(runner.pass->value(node.out).data[0]);
    if (const ValueId* inner = inner_loss(node)) {
      own -= static_cast<double>(runner.pass->value(*inner).data[0]);
      // On its way back this loss hands its own weight to the one it adds to.
      for (std::size_t j = 0; j < k; ++j) {
        if (graph_.nodes()[losses_[j].node].out == *inner) weights[j] -= weights[k];
      }
    }
    sum += weight * own;
  }
  for (std::size_t k = 0; k < losses_.size(); ++k) {
    runner.gradients[index_of(graph_.nodes()[losses_[k].node].out)] = {&weights[k], {1, 1, 1, 1}};
  }
  runner.pass->backward(runner.gradients);
  return sum;
}

/// Adds the sums of a chunk to the totals when all chunks before it are there.
template <class T>
void DepthFirst<T>::add_in_turn(Runner& runner, int chunk, double loss) {
  std::unique_lock lock(mutex_);
  turn_changed_.wait(lock, [&] { return turn_ == chunk || failed_; });
  if (failed_) return;
  lock.unlock();
  const T* from = runner.sums.data();
  T* to = totals_.data();
  const auto count = static_cast<std::int64_t>(sum_elements_);
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
void DepthFirst<T>::run(Runner& runner, const Call& call, int chunks, std::atomic<int>& next) {
  const int images = call.inputs[0].shape.n, grain = (images + chunks - 1) / chunks;
  try {
    for (int chunk = next++; chunk < chunks; chunk = next++) {
      std::fill_n(runner.sums.data(), sum_elements_, T(0));
      const int end = std::min(images, (chunk + 1) * grain);
      double loss = 0;
      for (int first = chunk * grain; first < end; first += piece_) {
        loss += run_piece(runner, call, first, std::min(piece_, end - first));
      }
      add_in_turn(runner, chunk, loss);
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    turn_changed_.notify_all();
    throw;
  }
}

template <class T>
T DepthFirst<T>::step(std::span<const View<const float>> inputs, const typename TrainingPass<T>::Step& step,
                      std::span<const View<T>> gradients, bool fuse, const Tap<T>& tap) {
  find_losses(inputs);
  const int images = inputs[0].shape.n, grain = (images + kChunks - 1) / kChunks;
  const int chunks = (images + grain - 1) / grain, threads = std::min(thread_count(), chunks);
  constants_.plan({.batch = 1, .fuse = false});
  constants_.forward({}, step, tap);
  while (static_cast<int>(runners_.size()) < threads) runners_.push_back(make_runner());
  for (const auto& runner : runners_) {
    for (std::size_t i = 0; i < is_sum_.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      if (fixed_.is_constant(id) && !graph_.is_parameter(id)) runner->pass->lend(id, constants_.value(id));
    }
  }
  turn_ = 0;
  failed_ = false;
  loss_ = 0;
  const Call call{.inputs = inputs, .step = step, .tap = tap, .fuse = fuse};
  std::atomic<int> next{0};
  parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run(*runners_[static_cast<std::size_t>(i)], call, chunks, next);
  });
  std::vector<View<T>> to(gradients.begin(), gradients.end());
  for (std::size_t i = 0; i < is_sum_.size(); ++i) {
    if (!is_sum_[i]) continue;
    const View<T> total{totals_.data() + offsets_[i], graph_.values()[i].shape};
    if (graph_.is_parameter(static_cast<ValueId>(i))) {
      for (std::int64_t k = 0; k < total.count(); ++k) gradients[i].data[k] += total.data[k];
    } else {
      to[i] = total;
    }
  }
  constants_.backward(to);
  return static_cast<T>(loss_);
}

template <class T>
std::unique_ptr<typename DepthFirst<T>::Runner> DepthFirst<T>::make_runner() const {
  auto runner = std::make_unique<Runner>();
  std::vector<bool> outside = is_sum_;
  for (const Loss& loss : losses_) outside[index_of(graph_.nodes()[loss.node].out)] = true;
  runner->pass = std::make_unique<TrainingPass<T>>(
      graph_, fixed_,
      TrainingPart{
          .nodes = constant_nodes(graph_, fixed_.is_constant(), false), .reaches = reaches_, .outside = outside});
  runner->sums = Block<T>(sum_elements_);
  runner->gradients.resize(graph_.values().size());
  for (std::size_t i = 0; i < is_sum_.size(); ++i) {
    if (is_sum_[i]) runner->gradients[i] = {runner->sums.data() + offsets_[i], graph_.values()[i].shape};
  }
  return runner;
}

template <class T>
std::size_t DepthFirst<T>::bytes() const {
  std::size_t bytes = constants_.bytes() + totals_.size() * sizeof(T);
  for (const auto& runner : runners_) bytes += runner->pass->bytes() + runner->sums.size() * sizeof(T);
  return bytes;
}

template class DepthFirst<float>;
template class DepthFirst<double>;

}  // namespace binade
