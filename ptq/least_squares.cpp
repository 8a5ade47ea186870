// Least squares and error feedback, on Eigen's Cholesky.
#include "ptq/least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "core/base/parallel.hpp"

namespace binade {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Columns with the largest variance first: those that come late are left with the errors.
std::vector<Eigen::Index> order_of(const Matrix& covariance) {
  std::vector<Eigen::Index> order(static_cast<std::size_t>(covariance.rows()));
  std::iota(order.begin(), order.end(), Eigen::Index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](Eigen::Index a, Eigen::Index b) { return covariance(a, a) > covariance(b, b); });
  return order;
}

/// U of H = U D U^T, unit upper triangular, by a Cholesky factorisation of H turned around.
Matrix unit_upper(const Matrix& h) {
  const Eigen::Index n = h.rows();
  const Matrix turned = h.reverse();
  const Eigen::LLT<Matrix> cholesky(turned);
  Matrix lower = cholesky.matrixL();
  for (Eigen::Index j = 0; j < n; ++j) lower.col(j) /= lower(j, j);
  return lower.reverse();
}

}  // namespace

void round_to_grid(const LayerMoments& moments, const RoundingOptions& options, QuantSpec spec, Rounding rounding,
                   float* weights) {
  const Eigen::Index columns = moments.columns, rows = moments.rows;
  const Matrix covariance = Eigen::Map<const Matrix>(moments.covariance.data(), columns, columns);
  Matrix w =
      Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(weights, rows, columns)
          .cast<double>();
  const double unit = covariance.trace() / static_cast<double>(columns);
  if (unit > 0 && options.ridge > 0) {
    // W* = W + (C^T - W H) (H + ridge)^-1
    Matrix regular = covariance;
    regular.diagonal().array() += options.ridge * unit;
    const Matrix residual = Eigen::Map<const Matrix>(moments.cross.data(), columns, rows) - covariance * w.transpose();
    const Eigen::LLT<Matrix> cholesky(regular);
    w += cholesky.solve(residual).transpose();
  }
  const std::vector<Eigen::Index> order = order_of(covariance);
  Matrix ordered(columns, columns);
  for (Eigen::Index i = 0; i < columns; ++i) {
    for (Eigen::Index j = 0; j < columns; ++j) {
      ordered(i, j) = covariance(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
    }
  }
  ordered.diagonal().array() += options.damping * unit + 1e-30;
  const Matrix upper = unit_upper(ordered);
  parallel_for(rows, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> carried(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      std::fill(carried.begin(), carried.end(), 0.0);
      for (Eigen::Index j = 0; j < columns; ++j) {
        const Eigen::Index column = order[static_cast<std::size_t>(j)];
        const double wanted = w(row, column) + carried[static_cast<std::size_t>(j)];
        const double rounded = fake_quantize(wanted, spec, rounding);
        const double error = w(row, column) - rounded;
        weights[row * columns + column] = static_cast<float>(rounded);
        if (error == 0) continue;
        const double* feedback = upper.row(j).data();
        for (Eigen::Index k = j + 1; k < columns; ++k) carried[static_cast<std::size_t>(k)] += error * feedback[k];
      }
    }
  });
}

}  // namespace binade
