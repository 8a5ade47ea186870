// What is kept of a whole batch between the stages of a training step: values, and gradients that wait for their stage.
#pragma once

#include <utility>
#include <vector>

#include "core/base/memory.hpp"
#include "core/execute/stages.hpp"
#include "core/graph/graph.hpp"

namespace binade {

/// Some of the batch's images.
struct Piece {
  int first = 0, count = 1;
};

/// A batch in pieces, and ranges of pieces that one thread sums at a time.
struct BatchCut {
  std::vector<Piece> pieces;
  std::vector<std::pair<std::size_t, std::size_t>> chunks;  ///< begin and end
};

/// Depends on the number of images alone, not on the threads. `piece`: images that go together at most.
BatchCut cut_batch(int batch, int piece);

template <class T>
class BatchMemory {
 public:
  /// Makes room for Stages::is_kept, and for Stages::has_batch_gradient where `reaches`.
  void plan(const Graph& graph, const Stages& stages, const std::vector<bool>& reaches, int batch);
  View<T> value(std::size_t value, Piece piece) const { return part(values_, value_offsets_, value, piece); }
  View<T> gradient(std::size_t value, Piece piece) const { return part(gradients_, gradient_offsets_, value, piece); }
  std::size_t elements() const { return values_.size() + gradients_.size(); }

 private:
  View<T> part(const Block<T>& block, const std::vector<std::size_t>& offsets, std::size_t value, Piece piece) const {
    const Shape& shape = shapes_[value];
    return {block.data() + offsets[value] + static_cast<std::size_t>(shape.count() * piece.first),
            shape.with_batch(piece.count)};
  }

  std::vector<Shape> shapes_;  ///< all vectors by value
  std::vector<std::size_t> value_offsets_, gradient_offsets_;
  Block<T> values_, gradients_;
};

extern template class BatchMemory<float>;
extern template class BatchMemory<double>;

}  // namespace binade
