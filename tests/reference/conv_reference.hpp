// Convolutions as their formulas say, in double, one product at a time: the second implementation that tests trust.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/ops/ops.hpp"

namespace binade::reference {

/// Calls body(index in y, index in x, index in w) for every product of the formula. `shapes` are x and w, `y` the
/// output.
using Products = std::function<void(std::int64_t, std::int64_t, std::int64_t)>;
void for_each_product(const Conv2d& op, std::span<const Shape> shapes, const Shape& y, const Products& body);
void for_each_product(const ConvTranspose2d& op, std::span<const Shape> shapes, const Shape& y, const Products& body);
void for_each_product(const Linear& op, std::span<const Shape> shapes, const Shape& y, const Products& body);

/// y, and the gradients of sum(y * dout) with respect to x, w and b.
struct Result {
  std::vector<double> y, dx, dw, db;
};

/// Runs the products forwards and backwards. `b` may be empty.
template <class ConvOp>
Result convolve(const ConvOp& op, std::span<const Shape> shapes, std::span<const double> x, std::span<const double> w,
                std::span<const double> b, std::span<const double> dout) {
  const Shape out = op.infer(shapes);
  Result r;
  r.y.resize(static_cast<std::size_t>(out.count()));
  r.dx.resize(x.size());
  r.dw.resize(w.size());
  r.db.resize(static_cast<std::size_t>(out.c));
  for (std::size_t i = 0; i < r.y.size(); ++i) {
    const std::size_t channel = i % static_cast<std::size_t>(out.c);
    if (!b.empty()) r.y[i] = b[channel];
    r.db[channel] += dout[i];
  }
  for_each_product(op, shapes.first(2), out, [&](std::int64_t yi, std::int64_t xi, std::int64_t wi) {
    const auto y = static_cast<std::size_t>(yi), u = static_cast<std::size_t>(xi), v = static_cast<std::size_t>(wi);
    r.y[y] += x[u] * w[v];
    r.dx[u] += dout[y] * w[v];
    r.dw[v] += dout[y] * x[u];
  });
  return r;
}

}  // namespace binade::reference
