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

/// Applied to an accumulator before it is rounded.
bool is_linear_piece(const Node& node) {
  return std::holds_alternative<Relu>(node.op) || std::holds_alternative<Clip>(node.op) ||
         std::holds_alternative<LeakyRelu>(node.op) || std::holds_alternative<PRelu>(node.op);
}

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
      } catch (const DataError& error) {
        blame(node, error.what());
      }
    }
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!absorbed_[i] && !lowering_.has_codes(node.out)) blame(node, reason(node));
    }
    if (!lowering_.has_codes(graph_.output())) complaints_.push_back("the output of the network lies on no grid");
    if (!complaints_.empty()) {
      throw DataError(fmt::format("the network has no integer form:\n  {}", fmt::join(complaints_, "\n  ")));
    }
    return lowering_.finish(graph_.output());
  }

 private:
  void blame(const Node& node, const std::string& why) {
    if (blamed_.insert(node.name).second) {
      complaints_.push_back(fmt::format("'{}' {}: {}", node.name, to_string(node.op), why));
    }
  }

  std::string reason(const Node& node) const {
    if (std::holds_alternative<BatchNorm>(node.op)) return "batch norm is folded into weights first (binade ptq does)";
    if (std::holds_alternative<Pact>(node.op)) return "a learned quantizer becomes a fixed one first (binade qat does)";
    if (std::holds_alternative<LayerNorm>(node.op) || std::holds_alternative<CrossEntropy>(node.op)) {
      return "there is no integer instruction for it";
    }
    return "no quantizer follows it, so its result lies on no grid";
  }

  void visit(const Node& node) {
    if (const auto* quantizer = std::get_if<FakeQuant>(&node.op)) return visit_quantizer(node, *quantizer);
    if (std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return graph_.is_parameter(id); })) return;
    if (lowering_.has_codes(node.in[0])) lower_keeping_grid(lowering_, node);
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
    while (!lowering_.has_codes(chain.core) && is_linear_piece(*producer)) {
      chain.activations.insert(chain.activations.begin(), producer);
      passed.push_back(producer);
      chain.core = producer->in[0];
      producer = graph_.producer(chain.core);
      if (producer == nullptr) throw DataError(fmt::format("'{}' lies on no grid", graph_.name(chain.core)));
    }
    if (lowering_.has_codes(chain.core)) {
      lower_rescale(lowering_, chain);
    } else if (lower_weighted(lowering_, *producer, chain) || lower_elementwise(lowering_, *producer, chain) ||
               lower_window(lowering_, *producer, chain) || lower_table(lowering_, *producer, chain)) {
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
  std::set<std::string> blamed_;
  std::vector<std::string> complaints_;
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
