// What an executor knows before it sees an image: parameters, and what depends on parameters only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/graph/graph.hpp"

namespace binade {

/// Parameters in T, and the results of nodes that read nothing but parameters, computed once per version.
template <class T>
class FixedValues {
 public:
  /// Keeps a reference to `graph`.
  explicit FixedValues(const Graph& graph);

  /// By value: does not depend on an input.
  const std::vector<bool>& is_constant() const { return is_constant_; }
  bool is_constant(ValueId id) const { return is_constant_[index_of(id)]; }
  /// The elements of a parameter, or of a constant as of the last `renew`.
  View<const T> view(ValueId id) const;
  /// A parameter to write to without changing the version: for statistics that ops update.
  View<T> parameter(ValueId id) { return parameters_[index_of(id)].view(); }
  /// Changes with every update; never 0.
  std::uint64_t version() const { return version_; }
  void touch() { ++version_; }
  /// Computes the constants if parameters changed since the last time.
  void renew();

 private:
  const Graph& graph_;
  std::vector<bool> is_constant_;
  std::vector<Tensor<T>> parameters_, constants_;  // by value; empty for others
  std::vector<OpState> states_;
  std::uint64_t version_ = 1, renewed_version_ = 0;
};

}  // namespace binade
