// The workshop of lower(): the program under construction, and what the graph's values have become in it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/integer/lower/lower.hpp"

namespace binade {

/// What has no codes because something else has none: never the first cause.
class NoGrid : public DataError {
 public:
  using DataError::DataError;
};

/// An accumulator on its way to codes: FakeQuant <- activations <- the node whose accumulator it is.
struct Chain {
  ValueId core{};                        ///< the value that is computed exactly
  std::vector<const Node*> activations;  ///< in the order they apply
  ValueId result{};                      ///< the quantizer's
  QuantSpec spec;
  Rounding rounding = Rounding::half_up;
};

/// Builds a program node by node. While it does, Region::offset of an arena region is the index of its tensor.
class Lowering {
 public:
  Lowering(const Graph& graph, const TargetProfile& target);

  const Graph& graph() const { return graph_; }
  /// Appends an instruction and returns its index.
  int emit(ValueId value, Operation operation);
  /// A new tensor of the arena, known by the value's name if it has one.
  Region tensor(const std::string& name, const Shape& shape, QuantSpec spec);
  /// The codes of a value: a tensor of the arena, or constants where `constants` allows them.
  /// @throws DataError if it lies on no grid
  Region codes(ValueId id, bool constants = false);
  bool has_codes(ValueId id) const { return codes_[index_of(id)].has_value(); }
  void set_codes(ValueId id, const Region& region) { codes_[index_of(id)] = region; }

  /// Codes of a quantized parameter. @throws DataError if there is no quantizer between it and the node
  struct Quantized {
    const Tensor<float>* reals = nullptr;
    QuantSpec spec;
    std::vector<std::int32_t> codes;
    std::int64_t saturated = 0;  ///< reals that the grid cuts off
  };
  Quantized quantized_parameter(ValueId id) const;

  std::span<const std::byte> constants() const { return program_.constants; }
  /// Appends constants, aligned, and returns their offset.
  std::uint32_t constants_bytes(std::span<const std::byte> bytes);
  std::uint32_t constants_int32(std::span<const std::int32_t> values);
  std::uint32_t constants_codes(std::span<const std::int32_t> codes, int bytes_per_code);

  /// How an accumulator worth 2^-acc_frac per unit becomes codes at the end of the chain.
  Requant requant(const Chain& chain, int acc_frac);
  /// The same without activations, for codes that keep their grid.
  static Requant keep(QuantSpec spec);

  Lowered finish(ValueId output);
  void add_bounds(LayerBounds bounds) { layers_.push_back(std::move(bounds)); }

 private:
  struct TensorPlan {
    std::string name;
    Shape shape;
    QuantSpec spec;
    int first = -1, last = -1;  ///< instructions; -1: before the first
  };
  void plan_arena();
  /// Any tensor or weight above 8 bits.
  bool is_wide() const;

  const Graph& graph_;
  const TargetProfile& target_;
  Program program_;
  std::vector<LayerBounds> layers_;
  std::vector<TensorPlan> tensors_;
  std::vector<std::optional<Region>> codes_;                ///< by value
  std::map<std::string, std::uint32_t, std::less<>> pool_;  ///< offsets of constants, by their bytes
};

/// Calls f on every region of an operation, the result last.
template <class F>
void for_each_region(Operation& operation, F f) {
  std::visit(
      [&](auto& o) {
        if constexpr (requires { o.a; }) {
          f(o.a);
          f(o.b);
        } else {
          f(o.in);
        }
        f(o.out);
      },
      operation);
}

// The instruction of each op that has one of its own. Those that keep the grid of their input give it back without a
// result; the others emit it at the end of their chain. An op that is missing here is a compile error in lower.cpp.
Operation moving(Lowering& to, const Slice& op, const Region& in);
Operation moving(Lowering& to, const Pad& op, const Region& in);
Operation moving(Lowering& to, const MaxPool& op, const Region& in);
Operation moving(Lowering& to, const Resize& op, const Region& in);
Operation moving(Lowering& to, const Reshape& op, const Region& in);
void emit(Lowering& to, const Node& node, const Conv2d& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const ConvTranspose2d& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Linear& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Add& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Mul& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Concat& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Pad& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const AvgPool& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const GlobalAvgPool& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Resize& op, const Chain& chain);
void emit(Lowering& to, const Node& node, const Softmax& op, const Chain& chain);
/// A function of one number: a table with its value at every code.
void lower_function(Lowering& to, const Node& node, const Chain& chain);
/// A chain that begins at codes: a change of grid, a stand-alone activation.
void lower_rescale(Lowering& to, const Chain& chain);

}  // namespace binade
