// Range estimators: functions from the statistics of a tensor to its grid.
#pragma once

#include <span>
#include <string_view>

#include "calibration/stats.hpp"
#include "core/base/fixed_point.hpp"

namespace binade {

/// What a grid is wanted for.
struct GridWish {
  int bits = 8;
  bool is_signed = true;
  double percentile = 0.01;  ///< percent of the elements cut at each tail, for `percentile`
};

struct Estimator {
  std::string_view name, summary;
  QuantSpec (*choose)(const TensorStats& stats, const GridWish& wish);
};

/// min_max, percentile, mse, kl.
std::span<const Estimator> estimator_table();

/// The estimator of that name in the table, or among `extra`, which are from outside the library and must outlive the
/// result. @throws UsageError naming the known ones, or if two have the name
const Estimator& find_estimator(std::string_view name, std::span<const Estimator> extra);

/// @throws UsageError naming the known ones
const Estimator& find_estimator(std::string_view name);

/// Grids of more bits do not notice a doubled range: they only have to fit.
inline constexpr int kFineBits = 12;

/// The grid of an activation for searches to start from, by its own width: the least mean square error; of a fine grid
/// the extremes, doubled for images that calibration did not see.
QuantSpec choose_by_width(const TensorStats& stats, const GridWish& wish);

QuantSpec choose_min_max(const TensorStats& stats, const GridWish& wish);
QuantSpec choose_percentile(const TensorStats& stats, const GridWish& wish);
QuantSpec choose_mse(const TensorStats& stats, const GridWish& wish);
QuantSpec choose_kl(const TensorStats& stats, const GridWish& wish);

}  // namespace binade
