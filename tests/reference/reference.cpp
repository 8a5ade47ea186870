// The references of all ops but convolutions and Resize: one formula each.
#include "tests/reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/random.hpp"

namespace binade::reference {
namespace {

using Inputs = std::span<const Tensor<double>>;

struct Context {
  Mode mode;
  std::uint64_t seed;
};

template <class F>
Tensor<double> each(const Tensor<double>& x, F f) {
  return make(x.shape(), [&](int n, int h, int w, int c) { return f(at(x, n, h, w, c)); });
}

Tensor<double> run(const Conv2d& op, Inputs in, Context) {
  return forward(op, in);
}
Tensor<double> run(const ConvTranspose2d& op, Inputs in, Context) {
  return forward(op, in);
}
Tensor<double> run(const Linear& op, Inputs in, Context) {
  return forward(op, in);
}

Tensor<double> run(const BatchNorm& op, Inputs in, Context context) {
  const Tensor<double>& x = in[0];
  const Shape& s = x.shape();
  std::vector<double> mean(static_cast<std::size_t>(s.c)), variance(mean);
  for (int c = 0; c < s.c; ++c) {
    const std::size_t k = static_cast<std::size_t>(c);
    if (context.mode == Mode::inference || op.frozen) {
      mean[k] = in[3][c];
      variance[k] = in[4][c];
      continue;
    }
    const double pixels = static_cast<double>(s.pixels());
    for (std::int64_t p = 0; p < s.pixels(); ++p) mean[k] += x[p * s.c + c] / pixels;
    for (std::int64_t p = 0; p < s.pixels(); ++p) variance[k] += std::pow(x[p * s.c + c] - mean[k], 2) / pixels;
  }
  return make(s, [&](int n, int h, int w, int c) {
    const std::size_t k = static_cast<std::size_t>(c);
    return in[1][c] * (at(x, n, h, w, c) - mean[k]) / std::sqrt(variance[k] + op.epsilon) + in[2][c];
  });
}

Tensor<double> run(const LayerNorm& op, Inputs in, Context) {
  const Tensor<double>& x = in[0];
  return make(x.shape(), [&](int n, int h, int w, int c) {
    const int count = x.shape().c;
    double mean = 0, variance = 0;
    for (int i = 0; i < count; ++i) mean += at(x, n, h, w, i) / count;
    for (int i = 0; i < count; ++i) variance += std::pow(at(x, n, h, w, i) - mean, 2) / count;
    return in[1][c] * (at(x, n, h, w, c) - mean) / std::sqrt(variance + op.epsilon) + in[2][c];
  });
}

Tensor<double> run(const Relu&, Inputs in, Context) {
  return each(in[0], [](double x) { return std::max(x, 0.0); });
}
Tensor<double> run(const Clip& op, Inputs in, Context) {
  return each(in[0], [&](double x) { return std::min(std::max(x, op.lo), op.hi); });
}
Tensor<double> run(const LeakyRelu& op, Inputs in, Context) {
  return each(in[0], [&](double x) { return x >= 0 ? x : op.slope * x; });
}
Tensor<double> run(const PRelu&, Inputs in, Context) {
  return make(in[0].shape(), [&](int n, int h, int w, int c) {
    const double x = at(in[0], n, h, w, c);
    return x >= 0 ? x : in[1][in[1].count() == 1 ? 0 : c] * x;
  });
}
Tensor<double> run(const Sigmoid&, Inputs in, Context) {
  return each(in[0], [](double x) { return 1 / (1 + std::exp(-x)); });
}
Tensor<double> run(const HardSigmoid& op, Inputs in, Context) {
  return each(in[0], [&](double x) { return std::min(std::max(op.alpha * x + op.beta, 0.0), 1.0); });
}
Tensor<double> run(const HardSwish&, Inputs in, Context) {
  return each(in[0], [](double x) { return x * std::min(std::max(x + 3, 0.0), 6.0) / 6; });
}
Tensor<double> run(const Tanh&, Inputs in, Context) {
  return each(in[0], [](double x) { return (std::exp(2 * x) - 1) / (std::exp(2 * x) + 1); });
}
Tensor<double> run(const Elu& op, Inputs in, Context) {
  return each(in[0], [&](double x) { return x < 0 ? op.alpha * (std::exp(x) - 1) : x; });
}
Tensor<double> run(const Gelu& op, Inputs in, Context) {
  return each(in[0], [&](double x) {
    if (op.approximate == GeluForm::none) return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
    return x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * std::pow(x, 3)))) / 2;
  });
}
/// The series of the integral; for the small arguments of tests.
Tensor<double> run(const Erf&, Inputs in, Context) {
  return each(in[0], [](double x) {
    double sum = 0, term = x;
    for (int n = 0; n < 200; ++n) {
      sum += term / (2 * n + 1);
      term *= -x * x / (n + 1);
    }
    return sum * 2 / std::sqrt(std::acos(-1.0));
  });
}
Tensor<double> run(const Softplus&, Inputs in, Context) {
  return each(in[0], [](double x) { return std::log(1 + std::exp(x)); });
}
Tensor<double> run(const Mish&, Inputs in, Context) {
  return each(in[0], [](double x) { return x * std::tanh(std::log(1 + std::exp(x))); });
}

Tensor<double> run(const Softmax&, Inputs in, Context) {
  return make(in[0].shape(), [&](int n, int h, int w, int c) {
    double others = 0;  // e^x / sum(e^y) = 1 / sum(e^(y - x)): no maximum needed
    for (int i = 0; i < in[0].shape().c; ++i) others += std::exp(at(in[0], n, h, w, i) - at(in[0], n, h, w, c));
    return 1 / others;
  });
}

template <class F>
Tensor<double> broadcast(Inputs in, F f) {
  const Shape &a = in[0].shape(), &b = in[1].shape();
  const Shape out{std::max(a.n, b.n), std::max(a.h, b.h), std::max(a.w, b.w), std::max(a.c, b.c)};
  return make(out, [&](int n, int h, int w, int c) {
    return f(at(in[0], n % a.n, h % a.h, w % a.w, c % a.c), at(in[1], n % b.n, h % b.h, w % b.w, c % b.c));
  });
}
Tensor<double> run(const Add&, Inputs in, Context) {
  return broadcast(in, std::plus<>());
}
Tensor<double> run(const Mul&, Inputs in, Context) {
  return broadcast(in, std::multiplies<>());
}

Tensor<double> run(const Concat&, Inputs in, Context) {
  Shape out = in[0].shape();
  out.c = 0;
  for (const auto& x : in) out.c += x.shape().c;
  return make(out, [&](int n, int h, int w, int c) {
    std::size_t i = 0;
    while (c >= in[i].shape().c) c -= in[i++].shape().c;
    return at(in[i], n, h, w, c);
  });
}

Tensor<double> run(const Slice& op, Inputs in, Context) {
  Shape out = in[0].shape();
  int taken = 0;
  for (int i = op.begin; i < op.end; i += op.step) ++taken;
  (op.axis == 1 ? out.h : op.axis == 2 ? out.w : out.c) = taken;
  return make(out, [&](int n, int h, int w, int c) {
    int& moved = op.axis == 1 ? h : op.axis == 2 ? w : c;
    moved = op.begin + moved * op.step;
    return at(in[0], n, h, w, c);
  });
}

Tensor<double> run(const Pad& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  const Shape out{s.n, op.top + s.h + op.bottom, op.left + s.w + op.right,
                  op.channels_before + s.c + op.channels_after};
  return make(out, [&](int n, int h, int w, int c) {
    h -= op.top;
    w -= op.left;
    c -= op.channels_before;
    const bool inside = h >= 0 && h < s.h && w >= 0 && w < s.w && c >= 0 && c < s.c;
    return inside ? at(in[0], n, h, w, c) : op.value;
  });
}

/// Positions of the windows' first pixels on one axis, the padding counted as negative positions.
std::vector<int> window_starts(int extent, int kernel, int stride, int before, int after, bool ceil_mode) {
  std::vector<int> starts;
  for (int start = -before; start < extent; start += stride) {
    const bool whole = start + kernel <= extent + after;
    // ceil_mode admits one window that is cut off, unless the one before it already reached the end
    const bool partial = ceil_mode && (starts.empty() || starts.back() + kernel < extent + after);
    if (whole || partial) starts.push_back(start);
  }
  return starts;
}

template <class P, class F>
Tensor<double> pool(const P& op, const Tensor<double>& x, F f) {
  const Shape& s = x.shape();
  const auto rows = window_starts(s.h, op.kernel_h, op.stride_h, op.pad_top, op.pad_bottom, op.ceil_mode);
  const auto columns = window_starts(s.w, op.kernel_w, op.stride_w, op.pad_left, op.pad_right, op.ceil_mode);
  const Shape out{s.n, static_cast<int>(rows.size()), static_cast<int>(columns.size()), s.c};
  return make(out, [&](int n, int oy, int ox, int c) {
    return f(n, rows[static_cast<std::size_t>(oy)], columns[static_cast<std::size_t>(ox)], c);
  });
}

Tensor<double> run(const MaxPool& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  return pool(op, in[0], [&](int n, int y, int x, int c) {
    double best = -std::numeric_limits<double>::infinity();
    for (int i = y; i < y + op.kernel_h; ++i) {
      for (int j = x; j < x + op.kernel_w; ++j) {
        if (i >= 0 && i < s.h && j >= 0 && j < s.w) best = std::max(best, at(in[0], n, i, j, c));
      }
    }
    return best;
  });
}

Tensor<double> run(const AvgPool& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  return pool(op, in[0], [&](int n, int y, int x, int c) {
    double sum = 0;
    int inside = 0, padded = 0;
    for (int i = y; i < y + op.kernel_h; ++i) {
      for (int j = x; j < x + op.kernel_w; ++j) {
        if (i < s.h + op.pad_bottom && j < s.w + op.pad_right) ++padded;
        if (i < 0 || i >= s.h || j < 0 || j >= s.w) continue;
        ++inside;
        sum += at(in[0], n, i, j, c);
      }
    }
    return sum / (op.count_include_pad ? padded : inside);
  });
}

Tensor<double> run(const GlobalAvgPool&, Inputs in, Context) {
  const Shape& s = in[0].shape();
  return make({s.n, 1, 1, s.c}, [&](int n, int, int, int c) {
    double sum = 0;
    for (int h = 0; h < s.h; ++h) {
      for (int w = 0; w < s.w; ++w) sum += at(in[0], n, h, w, c);
    }
    return sum / (s.h * s.w);
  });
}

Tensor<double> run(const Resize& op, Inputs in, Context) {
  return forward(op, in);
}

Tensor<double> run(const Reshape& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  const int rest = s.h * s.w * s.c / (op.h * op.w);
  return {Shape{s.n, op.h, op.w, op.c == 0 ? rest : op.c}, in[0].span()};
}

Tensor<double> run(const Dropout& op, Inputs in, Context context) {
  std::int64_t i = 0;
  return each(in[0], [&](double x) {
    const std::uint64_t word = Random(context.seed).word(static_cast<std::uint64_t>(i++));
    if (context.mode == Mode::inference) return x;
    const bool dropped = std::ldexp(static_cast<double>(word >> 11), -53) < op.probability;
    return dropped ? 0.0 : x / (1 - op.probability);
  });
}

Tensor<double> run(const CrossEntropy& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  double loss = 0, counted = 0;
  for (std::int64_t p = 0; p < s.pixels(); ++p) {
    const int label = static_cast<int>(in[1][p]);
    if (label == op.ignore_label) continue;
    const auto weight = [&](int c) { return in.size() > 2 ? in[2][c] : 1; };
    counted += weight(label);
    double total = 0;
    for (int c = 0; c < s.c; ++c) total += std::exp(in[0][p * s.c + c]);
    for (int c = 0; c < s.c; ++c) {
      const double target = (c == label ? 1 - op.label_smoothing : 0) + op.label_smoothing / s.c;
      loss -= weight(c) * target * std::log(std::exp(in[0][p * s.c + c]) / total);
    }
  }
  return make({1, 1, 1, 1}, [&](int, int, int, int) { return counted == 0 ? 0 : loss / counted; });
}

double on_grid(double x, double step, double lo, double hi, Rounding rounding) {
  const long double v = static_cast<long double>(x) / static_cast<long double>(step);  // exact: step is a power of two
  long double code = rounding == Rounding::half_up     ? std::floor(v + 0.5L)
                     : rounding == Rounding::half_away ? std::round(v)
                                                       : std::rint(v);
  code = std::min(std::max(code, static_cast<long double>(lo)), static_cast<long double>(hi));
  return static_cast<double>(code) * step;
}

Tensor<double> run(const FakeQuant& op, Inputs in, Context) {
  const double top = std::pow(2.0, op.spec.bits - (op.spec.is_signed ? 1 : 0));
  return each(in[0], [&](double x) {
    return on_grid(x, std::pow(2.0, -op.spec.frac), op.spec.is_signed ? -top : 0, top - 1, op.rounding);
  });
}

Tensor<double> run(const Pact& op, Inputs in, Context) {
  double range = 1.0 / 65536;
  while (range < in[1][0]) range *= 2;
  const double codes = std::pow(2.0, op.bits - (op.is_signed ? 1 : 0));
  const double cut = op.at_grid_end ? range : in[1][0];
  return each(in[0], [&](double x) {
    if (x > cut) x = cut;
    if (x < (op.is_signed ? -cut : 0)) x = op.is_signed ? -cut : 0;
    return on_grid(x, range / codes, op.is_signed ? -codes : 0, codes - 1, op.rounding);
  });
}

Tensor<double> run(const Tqt& op, Inputs in, Context) {
  const double range = std::pow(2.0, op.held ? op.exponent : std::ceil(in[1][0]));
  const double codes = std::pow(2.0, op.bits - (op.is_signed ? 1 : 0));
  return each(in[0],
              [&](double x) { return on_grid(x, range / codes, op.is_signed ? -codes : 0, codes - 1, op.rounding); });
}

Tensor<double> run(const Lsq& op, Inputs in, Context) {
  const double codes = std::pow(2.0, op.bits - (op.is_signed ? 1 : 0)), step = in[1][0];
  return each(in[0], [&](double x) {
    const double v = std::min(std::max(x / step, op.is_signed ? -codes : 0), codes - 1);
    return step * on_grid(v, 1, -codes, codes, op.rounding);
  });
}

Tensor<double> run(const MergedWeights& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  return make(s, [&](int n, int h, int w, int c) {
    return at(in[0], n, h, w, c) * in[1][n] / std::sqrt(in[2][n] + op.epsilon);
  });
}

Tensor<double> run(const MergedBias& op, Inputs in, Context) {
  return make(in[0].shape(), [&](int, int, int, int c) {
    const double bias = in.size() > 4 ? in[4][c] : 0;
    return (bias - in[2][c]) * in[0][c] / std::sqrt(in[3][c] + op.epsilon) + in[1][c];
  });
}

Tensor<double> run(const MergedQuant& op, Inputs in, Context context) {
  return run(FakeQuant{.spec = op.spec, .rounding = op.rounding}, in.subspan(1), context);
}

Tensor<double> run(const Distillation& op, Inputs in, Context) {
  const Shape& s = in[0].shape();
  double divergence = 0;
  for (std::int64_t p = 0; p < s.pixels(); ++p) {
    double student = 0, teacher = 0;
    for (int c = 0; c < s.c; ++c) {
      student += std::exp(in[0][p * s.c + c] / op.temperature);
      teacher += std::exp(in[1][p * s.c + c] / op.temperature);
    }
    for (int c = 0; c < s.c; ++c) {
      const double q = std::exp(in[0][p * s.c + c] / op.temperature) / student;
      const double t = std::exp(in[1][p * s.c + c] / op.temperature) / teacher;
      divergence += t * std::log(t / q);
    }
  }
  const double mean = op.weight * op.temperature * op.temperature * divergence / static_cast<double>(s.pixels());
  return make({1, 1, 1, 1}, [&](int, int, int, int) { return mean + (in.size() > 2 ? in[2][0] : 0.0); });
}

}  // namespace

Tensor<double> forward(const Op& op, std::span<const Tensor<double>> in, Mode mode, std::uint64_t seed) {
  return std::visit([&](const auto& o) { return run(o, in, Context{mode, seed}); }, op);
}

}  // namespace binade::reference
