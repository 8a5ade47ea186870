// An integer program with the layers of a network of the zoo and random codes: what time depends on.
#pragma once

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

/// Activations have 8 bits, without sign behind a ReLU. For graphs of convolutions, ReLUs, additions, pooling and a
/// classifier.
class RandomProgram {
 public:
  explicit RandomProgram(const Graph& graph, std::uint64_t seed = 1) : graph_(graph), random_(seed) {
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
      sum.requant = {.shift = 1, .lo = -128, .hi = 127};
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
      pool.requant = {.lo = 0, .hi = 255};
      append(node, pool, out, false);
    } else if constexpr (std::is_same_v<Op, Relu> || std::is_same_v<Op, Clip>) {
      clamp_last(node);
    } else {
      regions_[node.out] = regions_.at(node.in[0]);  // batch normalisation is folded, dropout drops nothing
    }
  }

  void add_weighted(ConvInstr conv, const Node& node, const Shape& w) {
    conv.in = regions_.at(node.in[0]);
    conv.weights = constants(static_cast<std::size_t>(w.count()));
    for (std::int64_t i = 0; i < w.count(); ++i) {
      program_.constants[conv.weights + static_cast<std::size_t>(i)] = static_cast<std::byte>(random_.below(31) - 15);
    }
    conv.bias = constants(4 * static_cast<std::size_t>(w.n));
    const std::int64_t depth = std::int64_t{w.h} * w.w * w.c;
    conv.acc_bound = depth * 255 * 15;
    conv.requant = {.shift = 8, .lo = -128, .hi = 127};
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
            instr.requant.hi = 255;
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
    const Region region{shape, {.frac = 4, .bits = 8, .is_signed = is_signed}, program_.arena_bytes};
    program_.arena_bytes +=
        static_cast<std::uint32_t>((bytes_of(region) + kRegionAlignment - 1) / kRegionAlignment) * kRegionAlignment;
    return region;
  }

  std::uint32_t constants(std::size_t bytes) {
    const std::size_t at = (program_.constants.size() + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment;
    program_.constants.resize(at + bytes);
    return static_cast<std::uint32_t>(at);
  }

  const Graph& graph_;
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
