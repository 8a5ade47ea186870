// How an op's file hands out its functions: it has overloads infer_op, forward_op and backward_op for its own op,
// includes this header, and instantiates Functions<TheOp>. Nobody else includes it.
#pragma once

#include "core/ops/ops.hpp"

namespace binade {

template <class O>
Shape Functions<O>::infer(const O& op, std::span<const Shape> in) {
  return infer_op(op, in);
}
template <class O>
void Functions<O>::forward(const O& op, const Forward<float>& f) {
  forward_op(op, f);
}
template <class O>
void Functions<O>::forward(const O& op, const Forward<double>& f) {
  forward_op(op, f);
}
template <class O>
void Functions<O>::backward(const O& op, const Backward<float>& b) {
  backward_op(op, b);
}
template <class O>
void Functions<O>::backward(const O& op, const Backward<double>& b) {
  backward_op(op, b);
}

}  // namespace binade
