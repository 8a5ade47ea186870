// Clamp and quantizer in one sweep: limits of both, kernels for float, plain loops for double.
#include "core/ops/clamped_quantizer.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>

#include "core/base/denormals.hpp"
#include "core/ops/detail.hpp"
#include "core/ops/simd/elementwise.hpp"
#include "core/ops/simd/quantize_gradient.hpp"

namespace binade {
namespace {

template <class T>
constexpr T kNoLimit = std::numeric_limits<T>::infinity();

}  // namespace

template <class T>
bool ClampedQuantizer<T>::supports(const Op* clamp, const Op& quantizer) {
  if (clamp != nullptr && !is_clamp(*clamp)) return false;
  const auto* fake = std::get_if<FakeQuant>(&quantizer);
  return std::holds_alternative<Tqt>(quantizer) || (fake != nullptr && fake->spec.bits <= kMostBits);
}

template <class T>
ClampedQuantizer<T>::ClampedQuantizer(const Op* clamp, const FakeQuant& quantizer)
    : clamp_(limits_of<T>(clamp)),
      lo_(-kNoLimit<T>),
      hi_(kNoLimit<T>),
      learns_(false),
      spec_(quantizer.spec),
      rounding_(quantizer.rounding) {
  if (!quantizer.clipped) return;
  lo_ = static_cast<T>(std::ldexp(static_cast<double>(spec_.min_code()) - 0.5, -spec_.frac));
  hi_ = static_cast<T>(std::ldexp(static_cast<double>(spec_.max_code()) + 0.5, -spec_.frac));
}

template <class T>
ClampedQuantizer<T>::ClampedQuantizer(const Op* clamp, const Tqt& quantizer, double learned)
    : clamp_(limits_of<T>(clamp)), learns_(true), spec_(quantizer.spec(learned)), rounding_(quantizer.rounding) {
  // The reals that round to an end code or inwards. The tie below the lowest code, which is even, rounds up to it,
  // except away from zero; the tie above the highest, which is odd, always leaves.
  lo_ = static_cast<T>(std::ldexp(static_cast<double>(spec_.min_code()) - 0.5, -spec_.frac));
  hi_ = static_cast<T>(std::ldexp(static_cast<double>(spec_.max_code()) + 0.5, -spec_.frac));
  if (rounding_ != Rounding::half_away) lo_ = next_below(lo_);
}

template <class T>
ClampedQuantizer<T> ClampedQuantizer<T>::of(const Op* clamp, const Op& quantizer, double learned) {
  require(supports(clamp, quantizer), "ClampedQuantizer: unsupported ops");
  if (const auto* fake = std::get_if<FakeQuant>(&quantizer)) return {clamp, *fake};
  return {clamp, std::get<Tqt>(quantizer), learned};
}

template <class T>
void ClampedQuantizer<T>::forward(const T* x, T* y, std::int64_t n) const {
  parallel_for(n, detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<T, float>) {
      simd::clip_fake_quantize(x + begin, y + begin, end - begin, clamp_.lo, clamp_.hi, spec_, rounding_);
    } else {
      const T scale = std::ldexp(T(1), spec_.frac), step = std::ldexp(T(1), -spec_.frac);
      const T least = static_cast<T>(spec_.min_code()), most = static_cast<T>(spec_.max_code());
      for (std::int64_t i = begin; i < end; ++i) {
        const T above = clamp_.lo > x[i] ? clamp_.lo : x[i], c = clamp_.hi < above ? clamp_.hi : above;
        y[i] = std::clamp(round_real(c * scale, rounding_), least, most) * step;
      }
    }
  });
}

template <class T>
double ClampedQuantizer<T>::backward(const Way& way, T* dx, bool add) const {
  if (dx == nullptr && !learns_) return 0;
  const double sum = detail::chunked_sum(way.n, [&](std::int64_t begin, std::int64_t end) {
    T* to = dx == nullptr ? nullptr : dx + begin;
    if constexpr (std::is_same_v<T, float>) {
      return simd::quantize_gradient()({.x = way.x + begin,
                                        .y = way.y + begin,
                                        .dy = way.dy + begin,
                                        .dx = to,
                                        .add = add,
                                        .clamp_lo = clamp_.lo,
                                        .clamp_hi = clamp_.hi,
                                        .lo = lo_,
                                        .hi = hi_,
                                        .n = end - begin},
                                       learns_);
    } else {
      double part = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        const T x = way.x[i], y = way.y[i], dy = way.dy[i];
        const T above = clamp_.lo > x ? clamp_.lo : x, c = clamp_.hi < above ? clamp_.hi : above;
        // s * (r - c / s) is y - c, exactly; s * n and s * p are y.
        if (learns_) part += static_cast<double>(dy) * static_cast<double>(lo_ < c && c < hi_ ? y - c : y);
        if (to == nullptr) continue;
        const T passed = clamp_.lo < x && x < clamp_.hi && lo_ < x && x < hi_ ? dy : T(0);
        to[i - begin] = add ? to[i - begin] + passed : passed;
      }
      return part;
    }
  });
  return std::numbers::ln2 * sum;
}

template class ClampedQuantizer<float>;
template class ClampedQuantizer<double>;

}  // namespace binade
