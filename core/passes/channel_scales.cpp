// Union-find over channels, and the rewrite that applies factors.
#include "core/passes/channel_scales.hpp"

#include <numeric>

#include "core/base/error.hpp"
#include "core/ops/clamp.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

/// Disjoint sets of channels; element 0 is "fixed".
class Ties {
 public:
  explicit Ties(const Graph& graph) {
    std::size_t total = 1;
    for (const Value& value : graph.values()) {
      first_.push_back(total);
      total += value.kind == ValueKind::parameter ? 0 : static_cast<std::size_t>(value.shape.c);
    }
    parent_.resize(total);
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }

  std::size_t element(ValueId id, int c) const { return first_[index_of(id)] + static_cast<std::size_t>(c); }

  std::size_t root(std::size_t x) {
    while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
    return x;
  }
  /// The smaller root wins, so that "fixed" stays the root of its set.
  void join(std::size_t a, std::size_t b) {
    a = root(a);
    b = root(b);
    if (a < b) {
      parent_[b] = a;
    } else {
      parent_[a] = b;
    }
  }
  void fix(const Graph& graph, ValueId id) {
    if (graph.is_parameter(id)) return;
    for (int c = 0; c < graph.shape(id).c; ++c) join(0, element(id, c));
  }

 private:
  std::vector<std::size_t> first_, parent_;
};

void tie_channels(Ties& ties, const Node& node, const ChannelRun& run) {
  for (int k = 0; k < run.count; ++k) {
    ties.join(ties.element(node.in[run.input], run.first_in + k * run.step), ties.element(node.out, run.first_out + k));
  }
}

void tie_all(Ties& ties, const Graph& graph, const Node& node) {
  for (std::size_t i = 0; i < node.in.size(); ++i) {
    if (!graph.is_parameter(node.in[i])) tie_channels(ties, node, {i, 0, 1, 0, graph.shape(node.in[i]).c});
  }
}

void fix_all(Ties& ties, const Graph& graph, const Node& node) {
  for (const ValueId in : node.in) ties.fix(graph, in);
  ties.fix(graph, node.out);
}

/// Same channels in every operand; parameter operands have one element per channel.
bool adds_channelwise(const Graph& graph, const Node& node) {
  for (const ValueId in : node.in) {
    if (graph.shape(in).c != graph.shape(node.out).c) return false;
    if (graph.is_parameter(in) && graph.shape(in).pixels() != 1) return false;
  }
  return true;
}

/// A Mul of one value and one parameter, of a single element or one per channel.
bool multiplies_by_constants(const Graph& graph, const Node& node) {
  if (!std::holds_alternative<Mul>(node.op) || node.in.size() != 2) return false;
  const bool first = graph.is_parameter(node.in[0]);
  const Shape& constants = graph.shape(node.in[first ? 0 : 1]);
  return first != graph.is_parameter(node.in[1]) && constants.pixels() == 1 &&
         graph.shape(node.in[first ? 1 : 0]) == graph.shape(node.out) &&
         (constants.c == 1 || constants.c == graph.shape(node.out).c);
}

void tie(Ties& ties, const Graph& graph, const Node& node) {
  if (is_weighted(node)) {
    // Weights that two nodes share cannot follow two pairs of factors.
    const bool own = graph.is_parameter(node.in[kWeights]) && graph.consumers(node.in[kWeights]).size() == 1;
    if (!own) fix_all(ties, graph, node);
  } else if (is_homogeneous(node.op) && traits_of(node.op).reads != Reads::all) {
    const bool is_tied = role_of(node.op) != Role::merge || adds_channelwise(graph, node);
    is_tied ? tie_all(ties, graph, node) : fix_all(ties, graph, node);
  } else if (multiplies_by_constants(graph, node)) {
    tie_all(ties, graph, node);
  } else if (const auto runs = channel_runs(graph, node); !runs.empty() && is_homogeneous(node.op)) {
    for (const ChannelRun& run : runs) tie_channels(ties, node, run);
  } else if (std::holds_alternative<Reshape>(node.op) && graph.shape(node.out).pixels() == 1) {
    const int in_channels = graph.shape(node.in[0]).c, channels = graph.shape(node.out).c;
    for (int c = 0; c < channels; ++c) ties.join(ties.element(node.in[0], c % in_channels), ties.element(node.out, c));
  } else {
    fix_all(ties, graph, node);
  }
}

}  // namespace

ChannelScales::ChannelScales(const Graph& graph) {
  Ties ties(graph);
  for (const ValueId id : graph.inputs()) ties.fix(graph, id);
  for (const Node& node : graph.nodes()) tie(ties, graph, node);
  ties.fix(graph, graph.output());
  std::vector<int> index;  // by root
  scale_.resize(graph.values().size());
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind == ValueKind::parameter) continue;
    for (int c = 0; c < value.shape.c; ++c) {
      const std::size_t root = ties.root(ties.element(static_cast<ValueId>(i), c));
      if (root >= index.size()) index.resize(root + 1, kFixed);
      if (root != 0 && index[root] == kFixed) index[root] = count_++;
      scale_[i].push_back(root == 0 ? kFixed : index[root]);
    }
  }
}

int input_channel(const Graph& graph, const Node& node, int row, int column) {
  const Shape& weights = graph.shape(node.in[kWeights]);
  return row / (weights.n / groups_of(node)) * weights.c + column;
}

Graph scaled(const Graph& graph, const ChannelScales& scales, const std::vector<double>& factors,
             const std::vector<double>& clip_limits) {
  const auto factor = [&](ValueId id, int c) {
    const int scale = scales.of(id, c);
    return scale == ChannelScales::kFixed ? 1.0 : factors[static_cast<std::size_t>(scale)];
  };
  const auto scale_vector = [&](Rewriter& to, ValueId parameter, ValueId like) {
    Tensor<float>& vector = to.target().tensor(to(parameter));
    for (int c = 0; c < vector.shape().c; ++c) {
      vector[c] = static_cast<float>(static_cast<double>(vector[c]) * factor(like, c));
    }
  };
  return rewrite(graph, [&](Rewriter& to, const Node& node) {
    if (is_weighted(node) && graph.is_parameter(node.in[kWeights])) {
      Tensor<float>& weights = to.target().tensor(to(node.in[kWeights]));
      const Shape& s = weights.shape();
      for (std::int64_t i = 0; i < weights.count(); ++i) {
        const auto column = static_cast<int>(i % s.c);
        const auto row = static_cast<int>(i / (std::int64_t{s.c} * s.h * s.w));
        const double in = factor(node.in[kInput], input_channel(graph, node, row, column));
        weights[i] = static_cast<float>(static_cast<double>(weights[i]) * factor(node.out, row) / in);
      }
      if (has_bias(node)) scale_vector(to, node.in[kBias], node.out);
      to.copy(node);
    } else if (is_capped(node.op)) {
      Clip clip = std::get<Clip>(node.op);
      clip.hi = clip_limits[static_cast<std::size_t>(graph.value(node.out).node)];
      to.replace(node.out, to.target().add(node.name, clip, {to(node.in[0])}));
    } else {
      if (traits_of(node.op).reads == Reads::element && role_of(node.op) == Role::merge && is_homogeneous(node.op)) {
        for (const ValueId in : node.in) {
          if (graph.is_parameter(in)) scale_vector(to, in, node.out);
        }
      }
      to.copy(node);
    }
  });
}

}  // namespace binade
