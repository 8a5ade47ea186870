// The table of range estimators.
#include "calibration/estimators/estimators.hpp"

#include <array>

#include "calibration/find_row.hpp"
#include "core/base/names.hpp"

namespace binade {

const Estimator& find_estimator(std::string_view name, std::span<const Estimator> extra) {
  return find_row<Estimator>("range estimator", name, {estimator_table(), extra});
}

std::span<const Estimator> estimator_table() {
  static constexpr std::array table{
      Estimator{"min_max", "the extremes, rounded up to a power of two", choose_min_max},
      Estimator{"percentile", "TI: the extremes without `percentile` % of the elements at each tail",
                choose_percentile},
      Estimator{"mse", "the exponent with the least mean square error", choose_mse},
      Estimator{"kl", "the exponent with the least Kullback-Leibler divergence of the histogram", choose_kl},
  };
  return table;
}

QuantSpec choose_by_width(const TensorStats& stats, const GridWish& wish) {
  if (wish.bits <= kFineBits) return choose_mse(stats, wish);
  QuantSpec spec = choose_min_max(stats, wish);
  --spec.frac;
  return spec;
}

const Estimator& find_estimator(std::string_view name) {
  return find_by_name("range estimator", name, estimator_table());
}

}  // namespace binade
