// From any op to the functions of its type; functions of one number are made here from their formulas.
#include "core/ops/detail.hpp"
#include "core/ops/functions.hpp"

namespace binade {
namespace {

template <IsFunction O>
Shape infer_any(const O&, std::span<const Shape> in) {
  detail::expect_inputs(O::name, in, 1, 1);
  return in[0];
}
template <IsFunction O, class T>
void forward_any(const O& op, const Forward<T>& f) {
  detail::map(f, [op](T x) { return value(op, x); });
}
template <IsFunction O, class T>
void backward_any(const O& op, const Backward<T>& b) {
  detail::map_gradient(b, [op](T x, T dy) { return gradient(op, x, dy); });
}

template <class O>
Shape infer_any(const O& op, std::span<const Shape> in) {
  return Functions<O>::infer(op, in);
}
template <class O, class T>
void forward_any(const O& op, const Forward<T>& f) {
  Functions<O>::forward(op, f);
}
template <class O, class T>
void backward_any(const O& op, const Backward<T>& b) {
  Functions<O>::backward(op, b);
}

/// A function has a formula, and whatever has a formula is a function.
template <class... O>
constexpr bool functions_have_formulas(const std::variant<O...>*) {
  return ((IsFunction<O> == (O::traits.role == Role::function)) && ...);
}
static_assert(functions_have_formulas(static_cast<const Op*>(nullptr)), "an op of one number has a formula in here");

}  // namespace

Shape infer(const Op& op, std::span<const Shape> in) {
  return std::visit([&](const auto& o) { return infer_any(o, in); }, op);
}
void forward(const Op& op, const Forward<float>& f) {
  std::visit([&](const auto& o) { forward_any(o, f); }, op);
}
void forward(const Op& op, const Forward<double>& f) {
  std::visit([&](const auto& o) { forward_any(o, f); }, op);
}
void backward(const Op& op, const Backward<float>& b) {
  std::visit([&](const auto& o) { backward_any(o, b); }, op);
}
void backward(const Op& op, const Backward<double>& b) {
  std::visit([&](const auto& o) { backward_any(o, b); }, op);
}

bool keeps_grid(const Op& op) {
  return std::visit(
      []<class O>(const O& o) {
        if constexpr (O::traits.keeps_grid == KeepsGrid::by_attributes) {
          return o.keeps_grid();
        } else {
          return O::traits.keeps_grid == KeepsGrid::yes;
        }
      },
      op);
}

bool is_homogeneous(const Op& op) {
  return std::visit(
      []<class O>(const O& o) {
        if constexpr (O::traits.is_homogeneous == Homogeneous::by_attributes) {
          return o.is_homogeneous();
        } else {
          return O::traits.is_homogeneous == Homogeneous::yes;
        }
      },
      op);
}

std::optional<Conv2d> as_convolution(const Op& op) {
  if (const auto* conv = std::get_if<Conv2d>(&op)) return *conv;
  if (std::holds_alternative<Linear>(op)) return Conv2d{};
  return std::nullopt;
}

bool learns_grid(const Op& op) {
  const OpTraits& traits = traits_of(op);
  return traits.role == Role::quantizer && traits.learned != 0;
}

const FakeQuant* fixed_quantizer(const Op& op) {
  return std::get_if<FakeQuant>(&op);
}

QuantSpec* attribute_grid(Op& op) {
  return std::visit(
      []<class O>(O& o) -> QuantSpec* {
        if constexpr (requires { o.spec.frac; }) return &o.spec;
        return nullptr;
      },
      op);
}

std::optional<QuantSpec> quantizer_grid(const Op& op, double learned) {
  return std::visit(
      [&]<class O>(const O& o) -> std::optional<QuantSpec> {
        if constexpr (requires { o.spec.frac; }) return o.spec;
        if constexpr (requires { o.spec(learned); }) return o.spec(learned);
        return std::nullopt;
      },
      op);
}

Rounding rounding_of(const Op& op) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.rounding; }) return o.rounding;
        return Rounding::half_up;
      },
      op);
}

void set_integer_bits(Op& op, bool is_wide) {
  if (keeps_grid(op)) return;
  std::visit(
      [&]<class O>(O& o) {
        if constexpr (requires { O::integer_bits; }) {
          o.*O::integer_bits.bits = is_wide ? O::integer_bits.wide : O::integer_bits.narrow;
        }
      },
      op);
}

void clear_integer_bits(Op& op) {
  std::visit(
      []<class O>(O& o) {
        if constexpr (requires { O::integer_bits; }) o.*O::integer_bits.bits = 0;
      },
      op);
}

}  // namespace binade
