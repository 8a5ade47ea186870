// An integer program with the layers of a network of the zoo and random codes: what time depends on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/graph/graph.hpp"
#include "core/integer/program.hpp"

namespace binade::bench {

/// 8 or 16.
struct Widths {
  int activations = 8, weights = 8;
};

/// "8" or "16": both; "16x8": activations, then weights. @throws UsageError
inline Widths widths_of(const std::string& name) {
  if (name == "8") return {8, 8};
  if (name == "16") return {16, 16};
  if (name == "16x8") return {16, 8};
  if (name == "8x16") return {8, 16};
  throw UsageError("widths '" + name + "': expected 8, 16, 16x8 or 8x16 (activations x weights)");
}

/// Activations have no sign after a ReLU. Weights are normal, the standard deviation an eighth of the largest: as in
/// trained layers, of which that decides how often sums of 16-bit products have to be split. For graphs of
/// convolutions, ReLUs, additions, pooling and a classifier.
class RandomProgram {
 public:
  explicit RandomProgram(const Graph& graph, Widths widths = {}, std::uint64_t seed = 1)
      : graph_(graph), widths_(widths), random_(seed) {
    program_.target = "random";
    program_.input = place(graph.shape(graph.inputs()[0]), true);
    regions_[graph.inputs()[0]] = program_.input;
  }

  Program make() && {
    for (const Node& node : graph_.nodes()) std::visit([&](const auto& op) { add(op, node); }, node.op);
    program_.output = regions_.at(graph_.output());
    return std::move(program_);
  }

 private:
  template <class Op>
  void add(const Op& op, const Node& node) {
    const Shape out = graph_.shape(node.out);
    if constexpr (std::is_same_v<Op, Conv2d>) {
      ConvInstr conv{.stride_h = op.stride_h,
                     .stride_w = op.stride_w,
                     .pad_top = op.pad_top,
                     .pad_left = op.pad_left,
                     .dilation_h = op.dilation_h,
                     .dilation_w = op.dilation_w,
                     .groups = op.groups};
      const Shape& w = graph_.shape(node.in[1]);
      conv.kernel_h = w.h;
      conv.kernel_w = w.w;
      add_weighted(conv, node, w);
    } else if constexpr (std::is_same_v<Op, Linear>) {
      add_weighted({}, node, graph_.shape(node.in[1]));
    } else if constexpr (std::is_same_v<Op, Add>) {
      AddInstr sum{.a = regions_.at(node.in[0]), .b = regions_.at(node.in[1]), .shift_b = 1};
      sum.requant = {.shift = 1, .lo = lowest(), .hi = highest()};
      append(node, sum, out);
    } else if constexpr (std::is_same_v<Op, MaxPool>) {
      const MaxPoolInstr pool{.in = regions_.at(node.in[0]),
                              .kernel_h = op.kernel_h,
                              .kernel_w = op.kernel_w,
                              .stride_h = op.stride_h,
                              .stride_w = op.stride_w,
                              .pad_top = op.pad_top,
                              .pad_left = op.pad_left};
      append(node, pool, out, pool.in.spec.is_signed);
    } else if constexpr (std::is_same_v<Op, GlobalAvgPool>) {
      AvgPoolInstr pool{.in = regions_.at(node.in[0])};
      pool.kernel_h = pool.in.shape.h;
      pool.kernel_w = pool.in.shape.w;
      pool.requant = {.lo = 0, .hi = highest(false)};
      append(node, pool, out, false);
    } else if constexpr (std::is_same_v<Op, Relu> || std::is_same_v<Op, Clip>) {
      clamp_last(node);
    } else {
      regions_[node.out] = regions_.at(node.in[0]);  // batch normalisation is folded, dropout drops nothing
    }
  }

  void add_weighted(ConvInstr conv, const Node& node, const Shape& w) {
    conv.in = regions_.at(node.in[0]);
    conv.weight_bits = static_cast<std::uint8_t>(widths_.weights);
    const QuantSpec spec{.bits = conv.weight_bits};
    conv.weights = constants(static_cast<std::size_t>(w.count() * code_bytes(spec)));
    const double most = static_cast<double>(spec.max_code());
    for (std::int64_t i = 0; i < w.count(); ++i) {
      const double weight = std::clamp(random_.normal() * most / 8, -most, most);
      store_code(program_.constants.data() + conv.weights, i, spec, static_cast<std::int32_t>(weight));
    }
    conv.bias = constants(4 * static_cast<std::size_t>(w.n));
    conv.out.shape = graph_.shape(node.out);
    conv.acc_bound = accumulator_bound(conv, program_.constants);
    conv.requant = {.shift = widths_.weights, .lo = lowest(), .hi = highest()};
    append(node, conv, graph_.shape(node.out));
  }

  /// A ReLU is the clamp of what makes its operand.
  void clamp_last(const Node& node) {
    Region& made = regions_.at(node.in[0]);
    std::visit(
        [&](auto& instr) {
          if constexpr (requires { instr.requant; }) {
            require(instr.out == made, "RandomProgram: an activation must follow what makes its operand");
            instr.out.spec.is_signed = false;
            instr.requant.lo = 0;
            instr.requant.hi = highest(false);
            made = instr.out;
          }
        },
        program_.code.back().operation);
    for (auto& [id, region] : regions_) {
      if (region.offset == made.offset) region = made;
    }
    regions_[node.out] = made;
  }

  template <class Instr>
  void append(const Node& node, Instr instr, const Shape& out, bool is_signed = true) {
    instr.out = place(out, is_signed);
    program_.code.push_back({node.name, instr});
    regions_[node.out] = instr.out;
  }

  Region place(const Shape& shape, bool is_signed) {
    const Region region{shape,
                        {.frac = 4, .bits = static_cast<std::uint8_t>(widths_.activations), .is_signed = is_signed},
                        program_.arena_bytes};
    program_.arena_bytes +=
        static_cast<std::uint32_t>((bytes_of(region) + kRegionAlignment - 1) / kRegionAlignment) * kRegionAlignment;
    return region;
  }

  std::uint32_t constants(std::size_t bytes) {
    const std::size_t at = (program_.constants.size() + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    program_.constants.resize(at + bytes);
    return static_cast<std::uint32_t>(at);
  }

  int lowest() const { return -(1 << (widths_.activations - 1)); }
  int highest(bool is_signed = true) const { return (1 << (widths_.activations - (is_signed ? 1 : 0))) - 1; }

  const Graph& graph_;
  const Widths widths_;
  Random random_;
  Program program_;
  std::map<ValueId, Region> regions_;
};

/// Codes for the input of a program, `images` of them.
inline std::vector<std::byte> random_images(const Program& program, int images) {
  Random random(2);
  std::vector<std::byte> codes(static_cast<std::size_t>(bytes_of(program.input)) * static_cast<std::size_t>(images));
  for (std::byte& code : codes) code = static_cast<std::byte>(random.below(256));
  return codes;
}

}  // namespace binade::bench
