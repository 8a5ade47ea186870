// What every op says about itself, so that no pass keeps a list of ops: one row beside the op's attributes.
#pragma once

#include <cstdint>
#include <string_view>

namespace binade {

/// What an op is for.
enum class Role : std::uint8_t {
  layer,          ///< a matrix product of x with weights {out, ...}, and perhaps a bias: inputs 0, 1 and 2
  normalization,  ///< scales by statistics of what it reads
  activation,     ///< piecewise linear, so that integers apply it to the accumulator of what precedes it
  function,       ///< any other function of one number
  merge,          ///< joins two or more activations
  shape,          ///< moves, repeats, interpolates or drops elements
  pool,           ///< one number for each window of each channel
  regularizer,    ///< acts in training only
  loss,           ///< one number for the whole batch
  quantizer,      ///< puts its input on a grid
  parameter,      ///< makes parameters of a layer from other parameters
};

/// How an op appears in an integer program.
enum class IntegerForm : std::uint8_t {
  instruction,  ///< an instruction of its own
  accumulator,  ///< part of the requantization of what precedes it
  table,        ///< a table with one entry per code of its input
  identity,     ///< nothing: its result is its input
  grid,         ///< the grid on which the instruction before it stores its result
  folded,       ///< nothing: it is merged into the parameters of a layer first
  frozen,       ///< as `grid`, after training has made a FakeQuant of it
  none,         ///< it has no integer form; OpTraits::why_not says why
};

/// Whether every element of the result is an element of the input, or zero, so that the grid of the input stays valid.
/// by_attributes: the op's member function keeps_grid() says.
enum class KeepsGrid : std::uint8_t { no, yes, by_attributes };

/// Whether f(s * x) = s * f(x) for every s > 0, of all activations together. by_attributes: is_homogeneous() says.
enum class Homogeneous : std::uint8_t { no, yes, by_attributes };

/// Which elements of its activations one element of the result depends on.
enum class Reads : std::uint8_t {
  element,  ///< the one at the same place
  channel,  ///< some of the same channel
  all,      ///< any
};

/// What an op says only where it applies.
struct OpDetails {
  std::uint32_t learned = 0;      ///< bit i: input i is learned by gradients where it is a parameter
  std::uint32_t statistics = 0;   ///< bit i: input i is a running statistic that training updates
  bool takes_fresh = false;       ///< backward heeds Backward::fresh
  bool is_clamp = false;          ///< min(max(x, lo), hi), which other kernels can do on the side
  std::string_view why_not = {};  ///< why there is no integer form, for IntegerForm::none
  std::string_view onnx = {};     ///< a function's ONNX operator, whose attributes are the op's fields; empty: none
  int onnx_opset = 13;            ///< the first opset that has it
};

/// The row of one op. To leave out one of the first five is a compile error.
struct OpTraits : OpDetails {
  constexpr OpTraits(Role r, IntegerForm i, KeepsGrid k, Homogeneous h, Reads e, OpDetails details = {})
      : OpDetails(details), role(r), integer(i), keeps_grid(k), is_homogeneous(h), reads(e) {}

  Role role;
  IntegerForm integer;
  KeepsGrid keeps_grid;
  Homogeneous is_homogeneous;
  Reads reads;
};

/// The row of a function of one number.
constexpr OpTraits function_of_one_number(std::string_view onnx, int opset = 13) {
  return {Role::function,  IntegerForm::table, KeepsGrid::no,
          Homogeneous::no, Reads::element,     {.onnx = onnx, .onnx_opset = opset}};
}

}  // namespace binade
