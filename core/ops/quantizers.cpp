// FakeQuant and MergedQuant, on a fixed grid, and the quantizers whose grid follows a learned parameter: Pact, Tqt,
// Lsq.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/base/denormals.hpp"
#include "core/ops/clamped_quantizer.hpp"
#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/elementwise.hpp"

namespace binade {
namespace {

void expect_grid(std::string_view op, int bits) {
  if (bits >= 2 && bits <= 32) return;
  throw DataError(std::string(op) + ": " + std::to_string(bits) + " bits, wanted 2 to 32");
}

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

/// From that many elements on, operand and result together leave the caches before anyone reads them again.
constexpr std::int64_t kStreamFrom = std::int64_t{1} << 22;

/// round_real of at most 2^50 in magnitude, without its calls: adding and taking away kWhole rounds to nearest, ties to
/// even, and how far away that was is exact.
template <Rounding kRounding>
double round_small(double x) {
  constexpr double kWhole = 0x1.8p52;
  const double nearest = (x + kWhole) - kWhole, rest = x - nearest;
  if (kRounding == Rounding::half_up) return rest == 0.5 ? nearest + 1 : nearest;
  if (kRounding == Rounding::half_even) return nearest;
  return rest == 0.5 && x > 0 ? nearest + 1 : rest == -0.5 && x < 0 ? nearest - 1 : nearest;
}

template <Rounding kRounding>
void quantize_doubles(View<const double> x, View<double> y, QuantSpec spec) {
  const double scale = std::ldexp(1.0, spec.frac), step = std::ldexp(1.0, -spec.frac);
  const auto lo = static_cast<double>(spec.min_code()), hi = static_cast<double>(spec.max_code());
  parallel_for(x.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      y.data[i] = round_small<kRounding>(std::clamp(x.data[i] * scale, lo, hi)) * step;
    }
  });
}

template <class T>
void quantize_view(View<const T> x, View<T> y, QuantSpec spec, Rounding rounding) {
  if constexpr (std::is_same_v<T, float>) {
    const bool stream = x.count() >= kStreamFrom;
    parallel_for(x.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
      simd::fake_quantize(x.data + begin, y.data + begin, end - begin, spec, rounding, stream);
    });
  } else {
    // As binade::fake_quantize, whose calls take longer than all the rest: powers of two multiply exactly, and to
    // saturate before rounding gives the same codes.
    switch (rounding) {
      case Rounding::half_up: return quantize_doubles<Rounding::half_up>(x, y, spec);
      case Rounding::half_away: return quantize_doubles<Rounding::half_away>(x, y, spec);
      case Rounding::half_even: return quantize_doubles<Rounding::half_even>(x, y, spec);
    }
  }
}

}  // namespace

Shape infer_op(const FakeQuant& op, std::span<const Shape> in) {
  detail::expect_inputs(FakeQuant::name, in, 1, 1);
  expect_grid(FakeQuant::name, op.spec.bits);
  return in[0];
}

template <class T>
void forward_op(const FakeQuant& op, const Forward<T>& f) {
  quantize_view(f.in[0], f.out, op.spec, op.rounding);
}

template <class T>
void backward_op(const FakeQuant& op, const Backward<T>& b) {
  if (op.spec.bits <= ClampedQuantizer<T>::kMostBits) {
    ClampedQuantizer<T>(nullptr, op)
        .backward({.x = b.in[0].data, .y = b.out.data, .dy = b.dout.data, .n = b.dout.count()}, b.din[0].data,
                  !b.is_fresh(0));
    return;
  }
  // The limits in units of x have bits + 1 significant bits, more than fit a float: hence double.
  const double lo = op.clipped ? std::ldexp(static_cast<double>(op.spec.min_code()) - 0.5, -op.spec.frac) : -kNoLimit;
  const double hi = op.clipped ? std::ldexp(static_cast<double>(op.spec.max_code()) + 0.5, -op.spec.frac) : kNoLimit;
  detail::map_gradient(
      b, [=](T x, T dy) { return lo < static_cast<double>(x) && static_cast<double>(x) < hi ? dy : T(0); });
}

Shape infer_op(const MergedQuant& op, std::span<const Shape> in) {
  detail::expect_inputs(MergedQuant::name, in, 2, 2);
  expect_grid(MergedQuant::name, op.spec.bits);
  if (in[0] != in[1]) {
    throw DataError("MergedQuant: the float path is " + to_string(in[0]) + ", the quantized one " + to_string(in[1]));
  }
  return in[0];
}

template <class T>
void forward_op(const MergedQuant& op, const Forward<T>& f) {
  quantize_view(f.in[1], f.out, op.spec, op.rounding);
}

template <class T>
void backward_op(const MergedQuant& op, const Backward<T>& b) {
  const double lo = op.spec.min_real(), hi = op.spec.max_real() + op.spec.step();
  detail::map_gradient(
      b, [=](T x, T dy) { return lo < static_cast<double>(x) && static_cast<double>(x) < hi ? dy : T(0); });
}

Shape infer_op(const Pact& op, std::span<const Shape> in) {
  detail::expect_inputs(Pact::name, in, 2, 2);
  expect_grid(Pact::name, op.bits);
  if (in[1] != channel_shape(1)) {
    throw DataError("Pact: alpha has shape " + to_string(in[1]) + ", wanted " + to_string(channel_shape(1)));
  }
  return in[0];
}

double Pact::limit(double alpha) const {
  return at_grid_end ? std::ldexp(1.0, spec(alpha).exponent()) : std::max(alpha, kMinClip);
}

template <class T>
void forward_op(const Pact& op, const Forward<T>& f) {
  const double alpha = static_cast<double>(f.in[1].data[0]);
  if (!std::isfinite(alpha)) throw DataError("Pact: alpha is not a finite number; has the training diverged?");
  if (op.at_grid_end) return quantize_view(f.in[0], f.out, op.spec(alpha), op.rounding);
  const T hi = static_cast<T>(op.limit(alpha)), lo = op.is_signed ? -hi : T(0);
  detail::map(f, [=](T x) { return std::min(std::max(x, lo), hi); });
  quantize_view(View<const T>{f.out.data, f.out.shape}, f.out, op.spec(alpha), op.rounding);
}

template <class T>
void backward_op(const Pact& op, const Backward<T>& b) {
  const T hi = static_cast<T>(op.limit(static_cast<double>(b.in[1].data[0]))), lo = op.is_signed ? -hi : T(0);
  const bool everywhere = !op.clipped;
  detail::map_gradient(b, [=](T x, T dy) { return everywhere || (lo < x && x < hi) ? dy : T(0); });
  if (!b.din[1]) return;
  const T *x = b.in[0].data, *dy = b.dout.data;
  const double sum = detail::chunked_sum(b.dout.count(), [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      if (x[i] >= hi) {
        part += static_cast<double>(dy[i]);
      } else if (op.is_signed && x[i] <= lo) {
        part -= static_cast<double>(dy[i]);
      }
    }
    return part;
  });
  b.din[1].data[0] += static_cast<T>(sum);
}

namespace {

void expect_scalar(std::string_view op, std::string_view what, const Shape& found) {
  if (found == channel_shape(1)) return;
  throw DataError(std::string(op) + ": the " + std::string(what) + " has shape " + to_string(found) + ", wanted " +
                  to_string(channel_shape(1)));
}

void expect_learned_grid(std::string_view op, int bits) {
  if (bits >= 2 && bits <= 16) return;
  throw DataError(std::string(op) + ": " + std::to_string(bits) + " bits, wanted 2 to 16");
}

/// dx += dout where lo < x < hi (lo <= x if `closed`); returns the sum of dout * (inside(x, y) there, outside(y)
/// elsewhere), y being the quantized x.
template <class T, class Inside, class Outside>
double learned_gradient(const Backward<T>& b, T lo, T hi, bool closed, Inside inside, Outside outside) {
  const T *x = b.in[0].data, *y = b.out.data, *dy = b.dout.data;
  T* dx = b.din[0] ? b.din[0].data : nullptr;
  const T low = closed ? lo : next_above(lo);  // from now on: low <= x < hi
  return detail::chunked_sum(b.dout.count(), [&](std::int64_t begin, std::int64_t end) {
    if (dx != nullptr) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] += low <= x[i] && x[i] < hi ? dy[i] : T(0);
    }
    double lanes[8] = {};  // independent sums, so that the compiler may use vectors: the order is written down here
    const auto term = [&](std::int64_t i) {
      return static_cast<double>(dy[i]) * (low <= x[i] && x[i] < hi ? inside(x[i], y[i]) : outside(y[i]));
    };
    std::int64_t i = begin;
    for (; i + 8 <= end; i += 8) {
      for (int j = 0; j < 8; ++j) lanes[j] += term(i + j);
    }
    for (; i < end; ++i) lanes[0] += term(i);
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    return sum;
  });
}

}  // namespace

Shape infer_op(const Tqt& op, std::span<const Shape> in) {
  detail::expect_inputs(Tqt::name, in, 2, 2);
  expect_learned_grid(Tqt::name, op.bits);
  expect_scalar(Tqt::name, "threshold", in[1]);
  return in[0];
}

QuantSpec Tqt::spec(double log2_threshold) const {
  const double k = held ? exponent : std::ceil(log2_threshold);
  if (!(k > -100 && k < 100)) {
    throw DataError("Tqt: the threshold is 2^" + std::to_string(k) + "; has the training diverged?");
  }
  return spec_for_exponent(static_cast<int>(k), bits, is_signed);
}

template <class T>
void forward_op(const Tqt& op, const Forward<T>& f) {
  quantize_view(f.in[0], f.out, op.spec(static_cast<double>(f.in[1].data[0])), op.rounding);
}

template <class T>
void backward_op(const Tqt& op, const Backward<T>& b) {
  const ClampedQuantizer<T> quantizer(nullptr, op, static_cast<double>(b.in[1].data[0]));
  const double gradient = quantizer.backward(
      {.x = b.in[0].data, .y = b.out.data, .dy = b.dout.data, .n = b.dout.count()}, b.din[0].data, true);
  if (b.din[1]) b.din[1].data[0] += static_cast<T>(gradient);
}

Shape infer_op(const Lsq& op, std::span<const Shape> in) {
  detail::expect_inputs(Lsq::name, in, 2, 2);
  expect_learned_grid(Lsq::name, op.bits);
  expect_scalar(Lsq::name, "step", in[1]);
  return in[0];
}

template <class T>
void forward_op(const Lsq& op, const Forward<T>& f) {
  const T step = f.in[1].data[0];
  if (!(step > T(0)) || !std::isfinite(step)) {
    throw DataError("Lsq: the step is " + std::to_string(step) +
                    ", wanted a positive number; has the training diverged?");
  }
  const QuantSpec codes{0, static_cast<std::uint8_t>(op.bits), op.is_signed};
  const T lo = static_cast<T>(codes.min_code()), hi = static_cast<T>(codes.max_code());
  detail::map(f, [=](T x) { return step * round_real(std::clamp(x / step, lo, hi), op.rounding); });
}

template <class T>
void backward_op(const Lsq& op, const Backward<T>& b) {
  const T step = b.in[1].data[0];
  const QuantSpec codes{0, static_cast<std::uint8_t>(op.bits), op.is_signed};
  const T lo = step * static_cast<T>(codes.min_code()), hi = step * static_cast<T>(codes.max_code());
  const auto wide = static_cast<double>(step);
  const auto code = [=](T y) { return std::nearbyint(static_cast<double>(y) / wide); };
  const double sum = learned_gradient(
      b, lo, hi, false, [=](T x, T y) { return code(y) - static_cast<double>(x) / wide; }, code);
  if (b.din[1]) b.din[1].data[0] += static_cast<T>(op.gradient_scale * sum);
}

template struct Functions<FakeQuant>;
template struct Functions<MergedQuant>;
template struct Functions<Pact>;
template struct Functions<Tqt>;
template struct Functions<Lsq>;

}  // namespace binade
