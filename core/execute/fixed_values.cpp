// Parameters and constants of an executor.
#include "core/execute/fixed_values.hpp"

#include <algorithm>

namespace binade {

template <class T>
FixedValues<T>::FixedValues(const Graph& graph)
    : graph_(graph),
      is_constant_(graph.values().size(), false),
      parameters_(graph.values().size()),
      constants_(graph.values().size()),
      states_(graph.nodes().size()) {
  for (const ValueId id : graph.parameters()) {
    const Tensor<float>& from = graph.tensor(id);
    Tensor<T>& to = parameters_[index_of(id)];
    to.resize(from.shape());
    std::transform(from.span().begin(), from.span().end(), to.data(), [](float x) { return static_cast<T>(x); });
    is_constant_[index_of(id)] = true;
  }
  for (const Node& node : graph.nodes()) {
    is_constant_[index_of(node.out)] =
        std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return is_constant_[index_of(id)]; });
  }
}

template <class T>
View<const T> FixedValues<T>::view(ValueId id) const {
  return graph_.is_parameter(id) ? parameters_[index_of(id)].view() : constants_[index_of(id)].view();
}

template <class T>
void FixedValues<T>::renew() {
  if (renewed_version_ == version_) return;
  std::vector<View<const T>> in;
  for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
    const Node& node = graph_.nodes()[i];
    if (!is_constant(node.out)) continue;
    in.clear();
    for (const ValueId id : node.in) in.push_back(view(id));
    Tensor<T>& result = constants_[index_of(node.out)];
    result.resize(graph_.shape(node.out));
    const Forward<T> forward{.in = in, .out = result.view(), .state = states_[i], .parameter_version = version_};
    binade::forward(node.op, forward);
  }
  renewed_version_ = version_;
}

template class FixedValues<float>;
template class FixedValues<double>;

}  // namespace binade
