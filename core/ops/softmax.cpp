// Softmax over channels, and the losses that end in it.
#include <cmath>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/simd/softmax.hpp"

namespace binade {
namespace {

/// Of rows of c numbers x over a temperature: their softmax, and the logarithms of the sums of exp, where the pointers
/// are not null. Finite whenever x is.
template <class T>
void softmax_rows(const T* x, T* probabilities, T* log_sums, std::int64_t rows, std::int64_t c, T inverse_temperature) {
  if constexpr (std::is_same_v<T, float>) {
    simd::softmax()({.x = x,
                     .probabilities = probabilities,
                     .log_sums = log_sums,
                     .rows = rows,
                     .c = c,
                     .factor = inverse_temperature});
  } else {
    for (std::int64_t row = 0; row < rows; ++row, x += c) {
      const T top = *std::max_element(x, x + c) * inverse_temperature;
      T sum = 0;
      for (std::int64_t i = 0; i < c; ++i) sum += std::exp(x[i] * inverse_temperature - top);
      const T log_sum = top + std::log(sum);
      if (log_sums != nullptr) log_sums[row] = log_sum;
      for (std::int64_t i = 0; i < c && probabilities != nullptr; ++i) {
        probabilities[row * c + i] = std::exp(x[i] * inverse_temperature - log_sum);
      }
    }
  }
}

}  // namespace

Shape infer_op(const Softmax& op, std::span<const Shape> in) {
  detail::expect_inputs(Softmax::name, in, 1, 1);
  if (op.exponential_bits < 0 || op.exponential_bits > 30) {
    throw DataError("Softmax: exponential_bits is " + std::to_string(op.exponential_bits) + ", wanted 0 to 30");
  }
  return in[0];
}

template <class T>
void forward_op(const Softmax& op, const Forward<T>& f) {
  const std::int64_t c = f.out.shape.c;
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(8 * c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* x = f.in[0].data + p * c;
      T* y = f.out.data + p * c;
      const T top = *std::max_element(x, x + c);
      T sum = 0;
      for (std::int64_t i = 0; i < c; ++i) {
        y[i] = std::exp(x[i] - top);
        if (op.exponential_bits > 0) y[i] = std::floor(std::ldexp(y[i], op.exponential_bits) + T(0.5));
        sum += y[i];
      }
      for (std::int64_t i = 0; i < c; ++i) y[i] /= sum;
    }
  });
}

template <class T>
void backward_op(const Softmax&, const Backward<T>& b) {
  if (!b.din[0]) return;
  const std::int64_t c = b.dout.shape.c;
  parallel_for(b.dout.shape.pixels(), detail::rows_per_chunk(2 * c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T *y = b.out.data + p * c, *dy = b.dout.data + p * c;
      T* dx = b.din[0].data + p * c;
      T dot = 0;
      for (std::int64_t i = 0; i < c; ++i) dot += dy[i] * y[i];
      for (std::int64_t i = 0; i < c; ++i) dx[i] += y[i] * (dy[i] - dot);
    }
  });
}

namespace {

/// The weight of a pixel with that label.
template <class T>
T weight_of(std::span<const View<const T>> in, T label) {
  return in.size() < 3 ? T(1) : in[2].data[static_cast<std::int64_t>(label)];
}

/// The sum of all classes' weights.
template <class T>
double all_weights(std::span<const View<const T>> in) {
  if (in.size() < 3) return in[0].shape.c;
  double sum = 0;
  for (const T w : in[2].span()) sum += static_cast<double>(w);
  return sum;
}

/// How many pixels count, each as much as it weighs. @throws DataError naming the first label that is neither a class
/// nor the ignored one
template <class T>
double count_labels(const CrossEntropy& op, std::span<const View<const T>> in) {
  const View<const T> labels = in[1];
  const int classes = in[0].shape.c;
  double counted = 0;
  std::int64_t bad = 0, first_bad = -1;
  for (std::int64_t i = 0; i < labels.count(); ++i) {
    const T label = labels.data[i];
    if (label == static_cast<T>(op.ignore_label)) continue;
    if (label >= T(0) && label < static_cast<T>(classes) && label == std::floor(label)) {
      counted += static_cast<double>(weight_of(in, label));
    } else if (bad++ == 0) {
      first_bad = i;
    }
  }
  if (bad == 0) return counted;
  const std::int64_t w = labels.shape.w, h = labels.shape.h;
  throw DataError("CrossEntropy: " + std::to_string(bad) + " of " + std::to_string(labels.count()) +
                  " labels are neither a class (0 to " + std::to_string(classes - 1) + ") nor the ignored label " +
                  std::to_string(op.ignore_label) + "; the first is " + std::to_string(labels.data[first_bad]) +
                  " at image " + std::to_string(first_bad / (w * h)) + ", row " + std::to_string(first_bad / w % h) +
                  ", column " + std::to_string(first_bad % w) +
                  " (do the labels belong to a network with more classes?)");
}

}  // namespace

Shape infer_op(const CrossEntropy&, std::span<const Shape> in) {
  detail::expect_inputs(CrossEntropy::name, in, 2, 3);
  if (in.size() > 2) detail::expect_vector(CrossEntropy::name, "weights of the classes", in[2], in[0].c);
  const Shape wanted{in[0].n, in[0].h, in[0].w, 1};
  if (in[1] != wanted) {
    throw DataError("CrossEntropy: labels have shape " + to_string(in[1]) + ", wanted " + to_string(wanted) +
                    " for logits of shape " + to_string(in[0]));
  }
  return {1, 1, 1, 1};
}

template <class T>
void forward_op(const CrossEntropy& op, const Forward<T>& f) {
  const std::int64_t c = f.in[0].shape.c;
  const T* labels = f.in[1].data;
  const double counted = count_labels(op, f.in), weights = all_weights(f.in);
  const double everywhere = op.label_smoothing / static_cast<double>(c);
  const auto sum = detail::pixel_sums(f.in[1].count(), c, [&](std::int64_t begin, std::int64_t end, double* parts) {
    std::vector<T> log_sums(static_cast<std::size_t>(end - begin));
    softmax_rows<T>(f.in[0].data + begin * c, nullptr, log_sums.data(), end - begin, c, T(1));
    for (std::int64_t p = begin; p < end; ++p) {
      if (labels[p] == static_cast<T>(op.ignore_label)) continue;
      const T* x = f.in[0].data + p * c;
      const double log_sum = static_cast<double>(log_sums[static_cast<std::size_t>(p - begin)]);
      double smooth = 0;
      if (op.label_smoothing != 0) {
        for (std::int64_t i = 0; i < c; ++i) {
          smooth += static_cast<double>(weight_of(f.in, static_cast<T>(i))) * static_cast<double>(x[i]);
        }
        smooth = everywhere * (weights * log_sum - smooth);
      }
      const double loss = log_sum - static_cast<double>(x[static_cast<std::int64_t>(labels[p])]);
      parts[0] += smooth + (1 - op.label_smoothing) * static_cast<double>(weight_of(f.in, labels[p])) * loss;
    }
  });
  f.out.data[0] = counted > 0 ? static_cast<T>(sum[0] / counted) : T(0);
}

template <class T>
void backward_op(const CrossEntropy& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const std::int64_t c = b.in[0].shape.c;
  const T* labels = b.in[1].data;
  const double counted = count_labels(op, b.in);
  if (!(counted > 0)) return;
  const T of_all = b.dout.data[0] / static_cast<T>(counted);
  const T everywhere = of_all * static_cast<T>(op.label_smoothing / static_cast<double>(c));
  const T smooth = everywhere * static_cast<T>(all_weights(b.in));
  parallel_for(b.in[1].count(), detail::rows_per_chunk(4 * c), [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> probabilities(static_cast<std::size_t>((end - begin) * c));
    softmax_rows<T>(b.in[0].data + begin * c, probabilities.data(), nullptr, end - begin, c, T(1));
    for (std::int64_t p = begin; p < end; ++p) {
      if (labels[p] == static_cast<T>(op.ignore_label)) continue;
      const T* probability = probabilities.data() + (p - begin) * c;
      const T scale = of_all * weight_of(b.in, labels[p]) * static_cast<T>(1 - op.label_smoothing);
      T* dx = b.din[0].data + p * c;
      for (std::int64_t i = 0; i < c; ++i) {
        dx[i] += (scale + smooth) * probability[i] - everywhere * weight_of(b.in, static_cast<T>(i));
      }
      dx[static_cast<std::int64_t>(labels[p])] -= scale;
    }
  });
}

Shape infer_op(const Distillation& op, std::span<const Shape> in) {
  detail::expect_inputs(Distillation::name, in, 2, 3);
  if (in[0] != in[1]) {
    throw DataError("Distillation: the teacher's logits have shape " + to_string(in[1]) + ", the network's " +
                    to_string(in[0]));
  }
  if (in.size() > 2 && in[2] != channel_shape(1)) {
    throw DataError("Distillation: the loss to add to has shape " + to_string(in[2]) + ", wanted " +
                    to_string(channel_shape(1)));
  }
  if (!(op.temperature > 0)) throw DataError("Distillation: the temperature must be positive");
  return {1, 1, 1, 1};
}

template <class T>
void forward_op(const Distillation& op, const Forward<T>& f) {
  const std::int64_t c = f.in[0].shape.c, pixels = f.in[0].shape.pixels();
  const T inverse = static_cast<T>(1 / op.temperature);
  const auto sum = detail::pixel_sums(pixels, c, [&](std::int64_t begin, std::int64_t end, double* parts) {
    const T *student = f.in[0].data + begin * c, *teacher = f.in[1].data + begin * c;
    std::vector<T> log_sums(static_cast<std::size_t>(end - begin)), log_sums_of_teacher(log_sums);
    std::vector<T> probabilities(static_cast<std::size_t>((end - begin) * c));
    softmax_rows<T>(student, nullptr, log_sums.data(), end - begin, c, inverse);
    softmax_rows<T>(teacher, probabilities.data(), log_sums_of_teacher.data(), end - begin, c, inverse);
    for (std::int64_t p = 0; p < end - begin; ++p) {
      const auto k = static_cast<std::size_t>(p);
      const double shift = static_cast<double>(log_sums[k]) - static_cast<double>(log_sums_of_teacher[k]);
      for (std::int64_t i = p * c; i < (p + 1) * c; ++i) {
        const double ratio =
            (static_cast<double>(teacher[i]) - static_cast<double>(student[i])) / op.temperature + shift;
        parts[0] += static_cast<double>(probabilities[static_cast<std::size_t>(i)]) * ratio;
      }
    }
  });
  const double divergence = op.weight * op.temperature * op.temperature * sum[0] / static_cast<double>(pixels);
  f.out.data[0] = static_cast<T>(divergence + (f.in.size() > 2 ? static_cast<double>(f.in[2].data[0]) : 0.0));
}

// d KL / d logits = (softmax(logits / t) - softmax(teacher / t)) / t
template <class T>
void backward_op(const Distillation& op, const Backward<T>& b) {
  if (b.in.size() > 2 && b.din[2]) b.din[2].data[0] += b.dout.data[0];
  if (!b.din[0]) return;
  const std::int64_t c = b.in[0].shape.c, pixels = b.in[0].shape.pixels();
  const T inverse = static_cast<T>(1 / op.temperature);
  const T scale =
      static_cast<T>(static_cast<double>(b.dout.data[0]) * op.weight * op.temperature / static_cast<double>(pixels));
  parallel_for(pixels, detail::rows_per_chunk(4 * c), [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> student(static_cast<std::size_t>((end - begin) * c)), teacher(student);
    softmax_rows<T>(b.in[0].data + begin * c, student.data(), nullptr, end - begin, c, inverse);
    softmax_rows<T>(b.in[1].data + begin * c, teacher.data(), nullptr, end - begin, c, inverse);
    T* dx = b.din[0].data + begin * c;
    for (std::size_t i = 0; i < student.size(); ++i) dx[i] += scale * (student[i] - teacher[i]);
  });
}

template struct Functions<Softmax>;
template struct Functions<CrossEntropy>;
template struct Functions<Distillation>;

}  // namespace binade
