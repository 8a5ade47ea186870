// One backward sweep over the nodes, channel by channel.
#include "calibration/propagate_energy.hpp"

#include <cmath>

#include "core/ops/clamp.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

class Sweep {
 public:
  Sweep(const Graph& graph, const NoiseTables& seen) : graph_(graph), seen_(seen), energies_(graph.values().size()) {
    for (std::size_t i = 0; i < energies_.size(); ++i) {
      const Value& value = graph.values()[i];
      if (value.kind != ValueKind::parameter) energies_[i].assign(static_cast<std::size_t>(value.shape.c), 0.0);
    }
    const ValueId out = graph.output();
    energies_[index_of(out)].assign(energies_[index_of(out)].size(), static_cast<double>(graph.shape(out).pixels()));
    for (std::size_t i = graph.nodes().size(); i-- > 0;) step(graph.nodes()[i]);
  }

  const std::vector<double>& of(ValueId id) const { return energies_[index_of(id)]; }

 private:
  std::vector<double>& in(const Node& node, std::size_t i) { return energies_[index_of(node.in[i])]; }

  void step(const Node& node) {
    const std::vector<double>& out = of(node.out);
    const auto add = [&](std::size_t input, int to, double energy) {
      auto& energies = in(node, input);
      if (!energies.empty()) energies[static_cast<std::size_t>(to) % energies.size()] += energy;
    };
    if (is_weighted(node) && graph_.is_parameter(node.in[kWeights])) return weighted(node);
    if (const std::vector<ChannelRun> runs = channel_runs(graph_, node); !runs.empty()) {
      for (const ChannelRun& run : runs) {
        for (int k = 0; k < run.count; ++k) {
          add(run.input, run.first_in + k * run.step, out[static_cast<std::size_t>(run.first_out + k)]);
        }
      }
    } else {
      for (std::size_t i = 0; i < node.in.size(); ++i) {
        for (std::size_t c = 0; c < out.size(); ++c) {
          add(i, static_cast<int>(c), out[c] * share(node, static_cast<int>(c)));
        }
      }
    }
  }

  void weighted(const Node& node) {
    const std::vector<double>& out = of(node.out);
    auto& energies = in(node, kInput);
    const Tensor<float>& w = graph_.tensor(node.in[kWeights]);
    const std::int64_t per_row = w.count() / w.shape().n;
    for (std::int64_t i = 0; i < w.count(); ++i) {
      const auto row = static_cast<int>(i / per_row), column = static_cast<int>(i % w.shape().c);
      const double x = static_cast<double>(w[i]);
      energies[static_cast<std::size_t>(input_channel(graph_, node, row, column))] +=
          out[static_cast<std::size_t>(row)] * x * x;
    }
  }

  /// How much of the energy of a channel of the result goes to the same channel of an input.
  double share(const Node& node, int c) const {
    // A mean over n pixels squares 1 / n and spreads it over n pixels.
    if (const auto* pool = std::get_if<AvgPool>(&node.op)) return 1.0 / (pool->kernel_h * pool->kernel_w);
    if (role_of(node.op) == Role::pool && !keeps_grid(node.op)) {
      return 1.0 / static_cast<double>(graph_.shape(node.in[0]).pixels());
    }
    if (std::holds_alternative<Mul>(node.op)) {
      for (const ValueId id : node.in) {
        if (!graph_.is_parameter(id)) continue;
        const Tensor<float>& by = graph_.tensor(id);
        return std::pow(static_cast<double>(by[by.count() == 1 ? 0 : c % by.shape().c]), 2);
      }
    }
    if (!is_clamp(node.op)) return 1;
    const auto table = seen_.find(node.out);
    if (table == seen_.end()) return 1;
    return table->second->share_below(c, limits_of<double>(&node.op).hi);
  }

  const Graph& graph_;
  const NoiseTables& seen_;
  std::vector<std::vector<double>> energies_;
};

}  // namespace

std::vector<std::vector<double>> propagate_energy(const Graph& graph, std::span<const ValueId> values,
                                                  const NoiseTables& seen) {
  const Sweep sweep(graph, seen);
  std::vector<std::vector<double>> energies;
  for (const ValueId id : values) energies.push_back(sweep.of(id));
  return energies;
}

}  // namespace binade
