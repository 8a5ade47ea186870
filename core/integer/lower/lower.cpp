// Walks a quantized graph from quantizer to quantizer: everything between two grids is one accumulator.
#include "core/integer/lower/lower.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/lower/lowering.hpp"

namespace binade {
namespace {

bool is_accumulator_piece(const Node& node) {
  return traits_of(node.op).integer == IntegerForm::accumulator;
}

/// Emits what becomes of a node at the end of its chain. False: it has no such form.
bool emit_core(Lowering& to, const Node& node, const Chain& chain) {
  return std::visit(
      [&]<class O>(const O& op) {
        if constexpr (O::traits.integer == IntegerForm::table) {
          lower_function(to, node, chain);
          return true;
        } else if constexpr (O::traits.integer == IntegerForm::instruction && O::traits.keeps_grid != KeepsGrid::yes) {
          if (keeps_grid(node.op)) return false;
          emit(to, node, op, chain);
          return true;
        }
        return false;
      },
      node.op);
}

/// A node that keeps the grid of its input, which has codes.
void lower_keeping_grid(Lowering& to, const Node& node) {
  const Region in = to.codes(node.in[0]);
  std::visit(
      [&]<class O>(const O& op) {
        if constexpr (O::traits.integer == IntegerForm::identity) {
          to.set_codes(node.out, in);
        } else if constexpr (O::traits.keeps_grid != KeepsGrid::no) {
          Operation operation = moving(to, op, in);
          const Region out = to.tensor(to.graph().name(node.out), to.graph().shape(node.out), in.spec);
          std::visit([&](auto& o) { o.out = out; }, operation);
          to.set_codes(node.out, out);
          to.emit(node.out, std::move(operation));
        }
      },
      node.op);
}

/// Why nodes have no integer form: one line for all nodes of one operator and cause, first causes first.
class Complaints {
 public:
  void add(const Node& node, const std::string& why, bool is_first_cause) {
    if (!blamed_.insert(node.name).second) return;
    auto& group = is_first_cause ? causes_ : effects_;
    const std::string_view name = op_name(node.op);
    const auto same = std::find_if(group.begin(), group.end(), [&](const Line& line) {
      return op_name(line.first->op) == name && line.why == why;
    });
    if (same == group.end()) {
      group.push_back({&node, why, 1});
    } else {
      ++same->count;
    }
  }
  bool empty() const { return blamed_.empty(); }
  bool has(const Node& node) const { return blamed_.contains(node.name); }

  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const auto* group : {&causes_, &effects_}) {
      for (const Line& line : *group) {
        const Node& node = *line.first;
        lines.push_back(line.count == 1 ? fmt::format("'{}' {}: {}", node.name, to_string(node.op), line.why)
                                        : fmt::format("{}, {} nodes, first '{}': {}", op_name(node.op), line.count,
                                                      node.name, line.why));
      }
    }
    return lines;
  }

 private:
  struct Line {
    const Node* first;
    std::string why;
    int count;
  };
  std::vector<Line> causes_, effects_;
  std::set<std::string> blamed_;
};

class Walk {
 public:
  Walk(const Graph& graph, const TargetProfile& target)
      : graph_(graph), lowering_(graph, target), absorbed_(graph.nodes().size()) {}

  Lowered run() {
    if (graph_.inputs().size() != 1) {
      throw DataError(fmt::format("the network has {} inputs; integer programs have one", graph_.inputs().size()));
    }
    for (const Node& node : graph_.nodes()) {
      try {
        visit(node);
      } catch (const NoGrid& error) {
        complaints_.add(node, "an input lies on no grid", false);
      } catch (const DataError& error) {
        complaints_.add(node, error.what(), true);
      }
    }
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!absorbed_[i] && !lowering_.has_codes(node.out)) blame(node);
    }
    std::vector<std::string> lines = complaints_.lines();
    if (!lowering_.has_codes(graph_.output())) {
      lines.emplace_back("the output of the network lies on no grid");
    }
    if (!lines.empty())
      throw DataError(fmt::format("the network has no integer form:\n  {}", fmt::join(lines, "\n  ")));
    return lowering_.finish(graph_.output());
  }

 private:
  void blame(const Node& node) {
    const OpTraits& traits = traits_of(node.op);
    switch (traits.integer) {
      case IntegerForm::folded:
        return complaints_.add(node, "it is folded into the weights of a layer first (binade ptq does)", true);
      case IntegerForm::frozen:
        return complaints_.add(node, "a learned quantizer becomes a fixed one first (binade qat does)", true);
      case IntegerForm::none: return complaints_.add(node, std::string(traits.why_not), true);
      case IntegerForm::grid: {  // it says nothing that its producer does not say
        const Node* producer = graph_.producer(node.in[0]);
        if (producer == nullptr || complaints_.has(*producer)) return;
        return complaints_.add(node, "what it quantizes has no integer form", false);
      }
      default: break;
    }
    complaints_.add(node,
                    has_quantizer_after(node) ? "the quantizer that follows it stores no codes"
                                              : "no quantizer follows it, so its result lies on no grid",
                    false);
  }

  /// Directly, or after activations.
  bool has_quantizer_after(const Node& node) const {
    const std::vector<int> readers = graph_.consumers(node.out);
    return std::any_of(readers.begin(), readers.end(), [&](int index) {
      const Node& reader = graph_.nodes()[static_cast<std::size_t>(index)];
      return role_of(reader.op) == Role::quantizer || (is_accumulator_piece(reader) && has_quantizer_after(reader));
    });
  }

  void visit(const Node& node) {
    if (const FakeQuant* quantizer = fixed_quantizer(node.op)) return visit_quantizer(node, *quantizer);
    if (std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return graph_.is_parameter(id); })) return;
    if (keeps_grid(node.op) && lowering_.has_codes(node.in[0])) lower_keeping_grid(lowering_, node);
  }

  void visit_quantizer(const Node& node, const FakeQuant& quantizer) {
    const Value& source = graph_.value(node.in[0]);
    if (source.kind == ValueKind::parameter) return absorb(node);
    if (quantizer.spec.bits > 16) throw DataError("activations have at most 16 bits");
    if (source.kind == ValueKind::input) {
      if (input_done_) throw DataError("the network's input has two grids; integer programs have one");
      input_done_ = true;
      return lowering_.set_codes(node.out, lowering_.tensor(graph_.name(node.out), source.shape, quantizer.spec));
    }
    Chain chain{.core = node.in[0], .result = node.out, .spec = quantizer.spec, .rounding = quantizer.rounding};
    const Node* producer = graph_.producer(chain.core);
    std::vector<const Node*> passed;
    while (!lowering_.has_codes(chain.core) && is_accumulator_piece(*producer)) {
      chain.activations.insert(chain.activations.begin(), producer);
      passed.push_back(producer);
      chain.core = producer->in[0];
      producer = graph_.producer(chain.core);
      if (producer == nullptr) throw NoGrid(fmt::format("'{}' lies on no grid", graph_.name(chain.core)));
    }
    if (lowering_.has_codes(chain.core)) {
      lower_rescale(lowering_, chain);
    } else if (emit_core(lowering_, *producer, chain)) {
      passed.push_back(producer);
    } else {
      return;  // the producer stays unabsorbed and is blamed with its reason
    }
    for (const Node* each : passed) absorb(*each);
  }

  void absorb(const Node& node) { absorbed_[static_cast<std::size_t>(&node - graph_.nodes().data())] = true; }

  const Graph& graph_;
  Lowering lowering_;
  std::vector<bool> absorbed_;
  bool input_done_ = false;
  Complaints complaints_;
};

}  // namespace

Lowered lower(const Graph& quantized, const TargetProfile& target) {
  const Graph graph = without_dead_nodes(quantized);
  return Walk(graph, target).run();
}

void quantize_input(const Program& program, View<const float> images, std::span<std::byte> codes) {
  const Region& input = program.input;
  require(images.shape.with_batch(1) == input.shape, "quantize_input: images have another shape than the input");
  require(std::ssize(codes) >= bytes_of(input) * images.shape.n, "quantize_input: not enough room for the codes");
  const FloatQuantizer code_of(input.spec, program.input_rounding);
  parallel_for(images.count(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    bool has_nan = false;
    for (std::int64_t i = begin; i < end; ++i) has_nan |= std::isnan(images.data[i]);
    require(!has_nan, "quantize_input: NaN has no code");
    for (std::int64_t i = begin; i < end; ++i) store_code(codes.data(), i, input.spec, code_of(images.data[i]));
  });
}

void dequantize_output(const Program& program, std::span<const std::byte> codes, View<float> out) {
  const Region& output = program.output;
  require(out.shape.with_batch(1) == output.shape, "dequantize_output: the view has another shape than the output");
  require(std::ssize(codes) >= bytes_of(output) * out.shape.n, "dequantize_output: not enough codes");
  for (std::int64_t i = 0; i < out.count(); ++i) {
    out.data[i] = static_cast<float>(dequantize(load_code(codes.data(), i, output.spec), output.spec));
  }
}

}  // namespace binade
