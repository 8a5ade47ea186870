// From a quantized graph to an integer program, with the proof of what each layer needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/graph.hpp"
#include "core/integer/program.hpp"
#include "core/integer/target.hpp"

namespace binade {

/// What is known of a weighted layer before anything runs.
struct LayerBounds {
  int instruction = 0;                 ///< in Program::code
  std::string name;                    ///< of the node
  std::int64_t acc_bound = 0;          ///< no |accumulator| exceeds it, whatever the image
  int acc_bits = 0;                    ///< signed bits that hold it
  int shift = 0;                       ///< from accumulator to code
  std::int64_t biases = 0;             ///< how many there are
  std::int64_t saturated_biases = 0;   ///< of them, cut off by their grid
  std::int64_t saturated_weights = 0;  ///< weights that their grid cuts off
  bool fits = false;                   ///< the target's accumulator holds it
  /// A simulation in fp32 is proven equal to the integers: acc_bound + 2^(shift - 1) <= 2^24.
  bool fp32_exact = false;
};

/// What a weighted instruction says of its layer: acc_bound, acc_bits, shift and fp32_exact.
LayerBounds bounds_of(const ConvInstr& conv);

struct Lowered {
  Program program;
  std::vector<LayerBounds> layers;
};

/// The program whose tensors are the FakeQuant results of the graph, code by code: the graph computed in exact
/// arithmetic (Executor<double>) has exactly these codes. The graph is as apply_target leaves it for this target.
/// @throws DataError listing every node that cannot be lowered, and why
Lowered lower(const Graph& quantized, const TargetProfile& target);

/// The codes of images at the program's door. @shape images {n, h, w, c} as the program's input
void quantize_input(const Program& program, View<const float> images, std::span<std::byte> codes);

/// The reals of the program's results. @shape out {n, ...} as the program's output
void dequantize_output(const Program& program, std::span<const std::byte> codes, View<float> out);

}  // namespace binade
