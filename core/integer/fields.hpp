// The fields of every instruction by name, in one place: what hashing and files go through.
#pragma once

#include <type_traits>

#include "core/integer/program.hpp"

namespace binade {

/// Calls visit(name, field) for every field of a Requant, an operation, a Region or a part of one, in a fixed order.
/// Fields are integers, bools, Rounding, Region, Requant.
template <class T, class Visit>
void visit_fields(T& of, Visit&& visit) {
  using Type = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Type, Region>) {
    visit("h", of.shape.h);
    visit("w", of.shape.w);
    visit("c", of.shape.c);
    visit("frac", of.spec.frac);
    visit("bits", of.spec.bits);
    visit("is_signed", of.spec.is_signed);
    visit("offset", of.offset);
    visit("constant", of.constant);
  } else if constexpr (std::is_same_v<Type, Requant>) {
    visit("shift", of.shift);
    visit("rounding", of.rounding);
    visit("lo", of.lo);
    visit("hi", of.hi);
    visit("slopes", of.slopes);
    visit("slope_count", of.slope_count);
    visit("slope_frac", of.slope_frac);
  } else {
    if constexpr (requires { of.in; }) {
      visit("in", of.in);
    } else {
      visit("a", of.a);
      visit("b", of.b);
    }
    visit("out", of.out);
    if constexpr (requires { of.kernel_h; }) {
      visit("kernel_h", of.kernel_h);
      visit("kernel_w", of.kernel_w);
      visit("stride_h", of.stride_h);
      visit("stride_w", of.stride_w);
      visit("pad_top", of.pad_top);
      visit("pad_left", of.pad_left);
    }
    if constexpr (std::is_same_v<Type, ConvInstr>) {
      visit("dilation_h", of.dilation_h);
      visit("dilation_w", of.dilation_w);
      visit("groups", of.groups);
      visit("transposed", of.transposed);
      visit("weight_bits", of.weight_bits);
      visit("weights", of.weights);
      visit("bias", of.bias);
      visit("bias_shift", of.bias_shift);
      visit("acc_bound", of.acc_bound);
    } else if constexpr (std::is_same_v<Type, AddInstr>) {
      visit("shift_a", of.shift_a);
      visit("shift_b", of.shift_b);
    } else if constexpr (std::is_same_v<Type, RescaleInstr>) {
      visit("first_channel", of.first_channel);
    } else if constexpr (std::is_same_v<Type, SliceInstr>) {
      visit("axis", of.axis);
      visit("begin", of.begin);
      visit("step", of.step);
    } else if constexpr (std::is_same_v<Type, PadInstr>) {
      visit("top", of.top);
      visit("left", of.left);
      visit("first_channel", of.first_channel);
      visit("fill", of.fill);
    } else if constexpr (std::is_same_v<Type, AvgPoolInstr>) {
      visit("pad_bottom", of.pad_bottom);
      visit("pad_right", of.pad_right);
      visit("count_include_pad", of.count_include_pad);
    } else if constexpr (std::is_same_v<Type, ResizeInstr>) {
      visit("weight_bits", of.weight_bits);
      visit("rows", of.rows);
      visit("columns", of.columns);
    } else if constexpr (std::is_same_v<Type, TableInstr>) {
      visit("table", of.table);
    } else if constexpr (std::is_same_v<Type, SoftmaxInstr>) {
      visit("exponentials", of.exponentials);
      visit("count", of.count);
    } else {
      static_assert(std::is_same_v<Type, MulInstr> || std::is_same_v<Type, ReshapeInstr> ||
                    std::is_same_v<Type, MaxPoolInstr>);
    }
    if constexpr (requires { of.requant; }) visit("requant", of.requant);
  }
}

}  // namespace binade
