// Collection through an executor's tap.
#include "calibration/collect.hpp"

#include <algorithm>
#include <mutex>

#include "core/execute/executor.hpp"

namespace binade {

std::vector<TensorStats> collect_stats(const Graph& graph, ImageSource& images, std::span<const ValueId> values,
                                       int batch) {
  std::vector<int> slot(graph.values().size(), -1);
  for (std::size_t i = 0; i < values.size(); ++i) slot[index_of(values[i])] = static_cast<int>(i);
  std::vector<TensorStats> stats(values.size());
  std::vector<std::mutex> mutexes(values.size());
  const Tap<float> tap = [&](ValueId id, View<const float> view, int) {
    const int i = slot[index_of(id)];
    if (i < 0) return;
    TensorStats local;
    local.add(view);
    const std::lock_guard lock(mutexes[static_cast<std::size_t>(i)]);
    stats[static_cast<std::size_t>(i)].merge(local);
  };
  Executor<float> executor(graph);
  for (int first = 0; first < images.count(); first += batch) {
    executor.forward(images.images(first, std::min(batch, images.count() - first)), tap);
  }
  return stats;
}

}  // namespace binade
