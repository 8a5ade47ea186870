// Cuts through a graph and runs from them.
#include "calibration/graph_walk.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace binade {
namespace {

constexpr int kBatch = 16;
/// Bytes of all images that may cross a cut even where the input is smaller. With less, networks with wide shortcuts,
/// such as ESPNet, have no cuts, and are run from far before every layer.
constexpr std::int64_t kAffordable = std::int64_t{256} << 20;

}  // namespace

GraphWalk::GraphWalk(Graph graph, ImageSource& images, int count)
    : graph_(std::move(graph)), count_(std::min(count, images.count())) {
  require(graph_.inputs().size() == 1, "GraphWalk: one input wanted");
  values_ = graph_.inputs();
  Tensor<float> input(images.shape().with_batch(count_));
  for (int first = 0; first < count_; first += kBatch) {
    const int n = std::min(kBatch, count_ - first);
    const View<const float> batch = images.images(first, n);
    std::copy_n(batch.data, batch.count(), input.view().images(first, n).data);
  }
  affordable_ =
      std::max(kAffordable / std::max(1, count_), 2 * graph_.shape(values_[0]).count() * std::int64_t{sizeof(float)});
  tensors_.push_back(std::move(input));
}

GraphWalk::Cut GraphWalk::cut_before(int node) const {
  const auto& nodes = graph_.nodes();
  std::vector<bool> read(graph_.values().size(), false);
  read[index_of(graph_.output())] = true;
  for (std::size_t i = static_cast<std::size_t>(node); i < nodes.size(); ++i) {
    for (const ValueId id : nodes[i].in) read[index_of(id)] = true;
  }
  // What depends on parameters only is computed again, not kept.
  std::vector<bool> varies(graph_.values().size(), false);
  for (const ValueId id : graph_.inputs()) varies[index_of(id)] = true;
  Cut cut;
  const auto keep = [&](ValueId id) {
    if (!read[index_of(id)]) return;
    cut.values.push_back(id);
    cut.bytes += graph_.shape(id).count() * std::int64_t{sizeof(float)};
  };
  for (const ValueId id : graph_.inputs()) keep(id);
  for (int i = 0; i < node; ++i) {
    const Node& before = nodes[static_cast<std::size_t>(i)];
    const bool v = std::any_of(before.in.begin(), before.in.end(), [&](ValueId id) { return varies[index_of(id)]; });
    varies[index_of(before.out)] = v;
    if (v) keep(before.out);
  }
  return cut;
}

void GraphWalk::advance_before(int node) {
  for (int place = node; place > position_; --place) {
    Cut cut = cut_before(place);
    if (cut.bytes > affordable_) continue;
    std::vector<Tensor<float>> tensors;
    std::vector<int> slot(graph_.values().size(), -1);
    for (std::size_t i = 0; i < cut.values.size(); ++i) {
      slot[index_of(cut.values[i])] = static_cast<int>(i);
      tensors.emplace_back(graph_.shape(cut.values[i]).with_batch(count_));
    }
    run(cut.values, [&](ValueId id, View<const float> view, int first) {
      const int i = slot[index_of(id)];
      if (i >= 0)
        std::copy_n(view.data, view.count(),
                    tensors[static_cast<std::size_t>(i)].view().images(first, view.shape.n).data);
    });
    values_ = std::move(cut.values);
    tensors_ = std::move(tensors);
    position_ = place;
    return;
  }
}

void GraphWalk::run(std::span<const ValueId> targets, const Tap<float>& tap) const {
  const Graph part = extract(graph_, values_, targets);
  std::vector<ValueId> original(part.values().size());
  for (std::size_t i = 0; i < original.size(); ++i) {
    const bool known = graph_.find(part.values()[i].name, original[i]);
    require(known, "GraphWalk: an unknown value");
  }
  Executor<float> executor(part);
  std::vector<View<const float>> inputs(values_.size());
  for (int first = 0; first < count_; first += kBatch) {
    const int n = std::min(kBatch, count_ - first);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i] = static_cast<const Tensor<float>&>(tensors_[i]).view().images(first, n);
    }
    executor.forward(inputs, [&](ValueId id, View<const float> view, int image) {
      tap(original[index_of(id)], view, first + image);
    });
  }
}

}  // namespace binade
