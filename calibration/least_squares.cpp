// Least squares and error feedback, on Eigen's Cholesky.
#include "calibration/least_squares.hpp"

#include <algorithm>
#include <array>
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

/// What to add to the transposed weights W^T: W* = W + (C^T - W H) (H + ridge)^-1.
Matrix correction(const Matrix& covariance, const Matrix& residual, double ridge) {
  Matrix regular = covariance;
  regular.diagonal().array() += ridge;
  return Eigen::LLT<Matrix>(regular).solve(residual);
}

/// Coordinate descent on (q - w) H (q - w)^T over the codes of one row.
void descend(const Matrix& h, const Eigen::RowVectorXd& w, QuantSpec spec, Rounding rounding, float* q) {
  constexpr int kSweeps = 4;
  const Eigen::Index n = h.rows();
  Eigen::RowVectorXd error(n);
  for (Eigen::Index k = 0; k < n; ++k) error[k] = static_cast<double>(q[k]) - w[k];
  Eigen::RowVectorXd slope = error * h;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool moved = false;
    for (Eigen::Index k = 0; k < n; ++k) {
      const double now = static_cast<double>(q[k]), best = fake_quantize(now - slope[k] / h(k, k), spec, rounding);
      const double change = best - now;
      if (change == 0 || change * (2 * slope[k] + change * h(k, k)) >= 0) continue;
      slope += change * h.row(k);
      q[k] = static_cast<float>(best);
      moved = true;
    }
    if (!moved) return;
  }
}

}  // namespace

LayerMoments joined(const LayerMoments& a, const LayerMoments& b) {
  LayerMoments all = a;
  all.samples = a.samples + b.samples;
  const double p = a.samples / all.samples, q = b.samples / all.samples;
  const auto n = static_cast<std::size_t>(a.columns), m = static_cast<std::size_t>(a.rows);
  for (std::size_t i = 0; i < n; ++i) all.mean_x[i] = p * a.mean_x[i] + q * b.mean_x[i];
  for (std::size_t i = 0; i < m; ++i) all.mean_y[i] = p * a.mean_y[i] + q * b.mean_y[i];
  for (std::size_t i = 0; i < n; ++i) {
    const double apart = p * q * (a.mean_x[i] - b.mean_x[i]);
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t k = i * n + j;
      all.covariance[k] = p * a.covariance[k] + q * b.covariance[k] + apart * (a.mean_x[j] - b.mean_x[j]);
    }
    for (std::size_t j = 0; j < m; ++j) {
      const std::size_t k = i * m + j;
      all.cross[k] = p * a.cross[k] + q * b.cross[k] + apart * (a.mean_y[j] - b.mean_y[j]);
    }
  }
  return all;
}

double best_ridge(const LayerMoments& first, const LayerMoments& second, const float* weights) {
  constexpr std::array kCandidates{0.03, 0.1, 0.3, 1.0, 3.0, 10.0};
  constexpr Eigen::Index kMostRows = 64;
  const Eigen::Index columns = first.columns, stride = (first.rows + kMostRows - 1) / kMostRows,
                     rows = (first.rows + stride - 1) / stride;
  Matrix w(rows, columns);
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index k = 0; k < columns; ++k) w(i, k) = static_cast<double>(weights[i * stride * columns + k]);
  }
  const auto covariance = [&](const LayerMoments& of) {
    return Matrix(Eigen::Map<const Matrix>(of.covariance.data(), columns, columns));
  };
  const auto residual = [&](const LayerMoments& of, const Matrix& h) {  // of the given weights
    Matrix r = -h * w.transpose();
    for (Eigen::Index k = 0; k < columns; ++k) {
      for (Eigen::Index i = 0; i < rows; ++i)
        r(k, i) += of.cross[static_cast<std::size_t>(k * first.rows + i * stride)];
    }
    return r;
  };
  const Matrix h1 = covariance(first), h2 = covariance(second);
  const Matrix r1 = residual(first, h1), r2 = residual(second, h2);
  const double unit = (h1.trace() + h2.trace()) / static_cast<double>(2 * columns);
  if (!(unit > 0)) return kCandidates.back();
  double best = kCandidates.back(), least = INFINITY;
  for (const double ridge : kCandidates) {
    // Moving W by d changes the squared error by d H d^T - 2 d R.
    const Matrix d1 = correction(h1, r1, ridge * unit), d2 = correction(h2, r2, ridge * unit);
    const double change = (h2 * d1 - 2 * r2).cwiseProduct(d1).sum() + (h1 * d2 - 2 * r1).cwiseProduct(d2).sum();
    if (change < least) {
      least = change;
      best = ridge;
    }
  }
  return best;
}

void round_to_grid(const LayerMoments& moments, const RoundingOptions& options, QuantSpec spec, Rounding rounding,
                   float* weights) {
  const Eigen::Index columns = moments.columns, rows = moments.rows;
  const Matrix covariance = Eigen::Map<const Matrix>(moments.covariance.data(), columns, columns);
  Matrix w =
      Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(weights, rows, columns)
          .cast<double>();
  const double unit = covariance.trace() / static_cast<double>(columns);
  if (unit > 0 && options.ridge > 0) {
    const Matrix residual = Eigen::Map<const Matrix>(moments.cross.data(), columns, rows) - covariance * w.transpose();
    w += correction(covariance, residual, options.ridge * unit).transpose();
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
  Matrix regular = covariance;
  regular.diagonal().array() += options.damping * unit + 1e-30;
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
      descend(regular, w.row(row), spec, rounding, weights + row * columns);
    }
  });
}

}  // namespace binade
