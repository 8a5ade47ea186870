// Folds rounding and zero points into start values where 32 bits hold them.
#include "core/integer/engine/finish.hpp"

#include <cstring>
#include <limits>

namespace binade::integer {
Round round_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::half_up: return Round::half_up;
    case Rounding::half_away: return Round::half_away;
    case Rounding::half_even: return Round::half_even;
  }
  return Round::half_up;
}

std::vector<std::int32_t> slopes_of(const Program& program, const Requant& requant, int channels, int padding) {
  if (requant.slope_count == 0) return {};
  std::vector<std::int32_t> slopes(static_cast<std::size_t>(channels + padding));
  for (int c = 0; c < channels; ++c) {
    const std::size_t at = requant.slopes + 4 * static_cast<std::size_t>(requant.slope_count == 1 ? 0 : c);
    std::memcpy(&slopes[static_cast<std::size_t>(c)], program.constants.data() + at, 4);
  }
  return slopes;
}

std::optional<Finishing> finishing_of(const Program& program, const Requant& requant, const Region& out,
                                      std::int64_t acc_bound, bool may_fold) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (acc_bound > kMost || acc_bound < 0) return std::nullopt;
  Finishing made;
  const std::int32_t zero = out.spec.is_signed ? 128 : 0;
  made.finish = {.shift = requant.shift,
                 .lo = requant.lo + zero,
                 .hi = requant.hi + zero,
                 .zero = zero,
                 .round = round_of(requant.rounding),
                 .kind = FinishKind::wide,
                 .slope_frac = requant.slope_frac};
  made.slopes = slopes_of(program, requant, out.shape.c, 2 * kMaxColumns);
  if (!made.slopes.empty()) made.finish.slopes = made.slopes.data();
  if (!made.slopes.empty() || requant.shift < 0 || requant.shift > 30) return made;
  const std::int64_t half = requant.shift == 0 ? 0 : std::int64_t{1} << (requant.shift - 1);
  if (acc_bound + half > kMost) return made;
  made.finish.kind = FinishKind::narrow;
  const std::int64_t start = half + (std::int64_t{zero} << requant.shift);
  const bool foldable = requant.rounding == Rounding::half_up || requant.shift == 0;
  if (may_fold && foldable && acc_bound + start <= kMost) {
    made.finish.kind = FinishKind::folded;
    made.start = static_cast<std::int32_t>(start);
  }
  return made;
}

std::optional<Finishing> finishing_of_add(const Program& program, const AddInstr& add) {
  if (add.requant.slope_count != 0) return std::nullopt;
  const std::int64_t bound = (add.a.spec.max_magnitude() << add.shift_a) + (add.b.spec.max_magnitude() << add.shift_b);
  return finishing_of(program, add.requant, add.out, bound, false);
}

}  // namespace binade::integer
