// Values live to the end of the step; gradients share memory by the stages they wait through.
#include "core/execute/batch_memory.hpp"

#include <algorithm>

#include "core/base/memory_plan.hpp"

namespace binade {
namespace {

/// Parts that a batch is cut into: enough for the threads of a workstation, few enough to add cheaply.
constexpr int kChunks = 8;

}  // namespace

BatchCut cut_batch(int batch, int piece) {
  BatchCut cut;
  const int grain = (batch + kChunks - 1) / kChunks;
  for (int begin = 0; begin < batch; begin += grain) {
    const std::size_t first_piece = cut.pieces.size();
    const int end = std::min(batch, begin + grain);
    for (int first = begin; first < end; first += piece) cut.pieces.push_back({first, std::min(piece, end - first)});
    cut.chunks.emplace_back(first_piece, cut.pieces.size());
  }
  return cut;
}

template <class T>
void BatchMemory<T>::plan(const Graph& graph, const Stages& stages, const std::vector<bool>& reaches, int batch) {
  const std::size_t count = graph.values().size();
  shapes_.clear();
  value_offsets_.assign(count, 0);
  gradient_offsets_.assign(count, 0);
  std::size_t elements = 0;
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < count; ++i) {
    shapes_.push_back(graph.values()[i].shape);
    const std::size_t size = in_lines(shapes_[i].count() * batch);
    if (stages.is_kept[i]) {
      value_offsets_[i] = elements;
      elements += size;
    }
    if (!stages.has_batch_gradient[i] || !reaches[i]) continue;
    // From the last stage that reads the value to the value's own; after a norm, to the stage before that.
    const int stage = stages.of_value[i], last = stages.count - 1;
    lifetimes.push_back({last - std::max(stages.last_reader[i], stage),
                         last - stage + (stages.is_normalized[i] ? 1 : 0), size * sizeof(T)});
    indices.push_back(i);
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  for (std::size_t k = 0; k < indices.size(); ++k) gradient_offsets_[indices[k]] = plan.offsets[k] / sizeof(T);
  values_ = Block<T>(elements);
  gradients_ = Block<T>(plan.bytes / sizeof(T));
}

template class BatchMemory<float>;
template class BatchMemory<double>;

}  // namespace binade
