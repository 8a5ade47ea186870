// Softmax over channels, and the cross entropy that ends in it.
#include <cmath>

#include "core/ops/detail.hpp"

namespace binade {
namespace {

/// log(sum(exp(x))) of c numbers; finite whenever they are.
template <class T>
T log_sum_exp(const T* x, std::int64_t c) {
  const T top = *std::max_element(x, x + c);
  T sum = 0;
  for (std::int64_t i = 0; i < c; ++i) sum += std::exp(x[i] - top);
  return top + std::log(sum);
}

}  // namespace

Shape Softmax::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 1, 1);
  if (exponential_bits < 0 || exponential_bits > 30) {
    throw DataError("Softmax: exponential_bits is " + std::to_string(exponential_bits) + ", wanted 0 to 30");
  }
  return in[0];
}

template <class T>
void Softmax::forward(const Forward<T>& f) const {
  const std::int64_t c = f.out.shape.c;
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(8 * c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* x = f.in[0].data + p * c;
      T* y = f.out.data + p * c;
      const T top = *std::max_element(x, x + c);
      T sum = 0;
      for (std::int64_t i = 0; i < c; ++i) {
        y[i] = std::exp(x[i] - top);
        if (exponential_bits > 0) y[i] = std::floor(std::ldexp(y[i], exponential_bits) + T(0.5));
        sum += y[i];
      }
      for (std::int64_t i = 0; i < c; ++i) y[i] /= sum;
    }
  });
}

template <class T>
void Softmax::backward(const Backward<T>& b) const {
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

/// How many pixels count. @throws DataError naming the first label that is neither a class nor the ignored one
template <class T>
std::int64_t count_labels(const CrossEntropy& op, View<const T> labels, int classes) {
  std::int64_t counted = 0, bad = 0, first_bad = -1;
  for (std::int64_t i = 0; i < labels.count(); ++i) {
    const T label = labels.data[i];
    if (label == static_cast<T>(op.ignore_label)) continue;
    if (label >= T(0) && label < static_cast<T>(classes) && label == std::floor(label)) {
      ++counted;
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

Shape CrossEntropy::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 2, 2);
  const Shape wanted{in[0].n, in[0].h, in[0].w, 1};
  if (in[1] != wanted) {
    throw DataError("CrossEntropy: labels have shape " + to_string(in[1]) + ", wanted " + to_string(wanted) +
                    " for logits of shape " + to_string(in[0]));
  }
  return {1, 1, 1, 1};
}

template <class T>
void CrossEntropy::forward(const Forward<T>& f) const {
  const std::int64_t c = f.in[0].shape.c;
  const T* labels = f.in[1].data;
  const std::int64_t counted = count_labels(*this, f.in[1], f.in[0].shape.c);
  const auto sum = detail::pixel_sums(f.in[1].count(), c, [&](std::int64_t begin, std::int64_t end, double* parts) {
    for (std::int64_t p = begin; p < end; ++p) {
      if (labels[p] == static_cast<T>(ignore_label)) continue;
      const T* x = f.in[0].data + p * c;
      double mean = 0;
      if (label_smoothing != 0) {
        for (std::int64_t i = 0; i < c; ++i) mean += static_cast<double>(x[i]);
        mean /= static_cast<double>(c);
      }
      parts[0] += static_cast<double>(log_sum_exp(x, c)) - label_smoothing * mean -
                  (1 - label_smoothing) * static_cast<double>(x[static_cast<std::int64_t>(labels[p])]);
    }
  });
  f.out.data[0] = counted == 0 ? T(0) : static_cast<T>(sum[0] / static_cast<double>(counted));
}

template <class T>
void CrossEntropy::backward(const Backward<T>& b) const {
  if (!b.din[0]) return;  // labels have no gradient
  const std::int64_t c = b.in[0].shape.c;
  const T* labels = b.in[1].data;
  const std::int64_t counted = count_labels(*this, b.in[1], b.in[0].shape.c);
  if (counted == 0) return;
  const T scale = b.dout.data[0] / static_cast<T>(counted);
  const T everywhere = static_cast<T>(label_smoothing / static_cast<double>(c));
  parallel_for(b.in[1].count(), detail::rows_per_chunk(4 * c), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      if (labels[p] == static_cast<T>(ignore_label)) continue;
      const T* x = b.in[0].data + p * c;
      T* dx = b.din[0].data + p * c;
      const T total = log_sum_exp(x, c);
      for (std::int64_t i = 0; i < c; ++i) dx[i] += scale * (std::exp(x[i] - total) - everywhere);
      dx[static_cast<std::int64_t>(labels[p])] -= scale * static_cast<T>(1 - label_smoothing);
    }
  });
}

Shape Distillation::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 2, 3);
  if (in[0] != in[1]) {
    throw DataError("Distillation: the teacher's logits have shape " + to_string(in[1]) + ", the network's " +
                    to_string(in[0]));
  }
  if (in.size() > 2 && in[2] != channel_shape(1)) {
    throw DataError("Distillation: the loss to add to has shape " + to_string(in[2]) + ", wanted " +
                    to_string(channel_shape(1)));
  }
  if (!(temperature > 0)) throw DataError("Distillation: the temperature must be positive");
  return {1, 1, 1, 1};
}

namespace {

/// Logits over the temperature, so that exp(out[i]) are the probabilities.
template <class T>
void log_softmax(const T* x, T* out, std::int64_t c, T inverse_temperature) {
  for (std::int64_t i = 0; i < c; ++i) out[i] = x[i] * inverse_temperature;
  const T total = log_sum_exp(out, c);
  for (std::int64_t i = 0; i < c; ++i) out[i] -= total;
}

}  // namespace

template <class T>
void Distillation::forward(const Forward<T>& f) const {
  const std::int64_t c = f.in[0].shape.c, pixels = f.in[0].shape.pixels();
  const T inverse = static_cast<T>(1 / temperature);
  const auto sum = detail::pixel_sums(pixels, c, [&](std::int64_t begin, std::int64_t end, double* parts) {
    std::vector<T> student(static_cast<std::size_t>(c)), teacher(student);
    for (std::int64_t p = begin; p < end; ++p) {
      log_softmax(f.in[0].data + p * c, student.data(), c, inverse);
      log_softmax(f.in[1].data + p * c, teacher.data(), c, inverse);
      for (std::size_t i = 0; i < student.size(); ++i) {
        parts[0] += static_cast<double>(std::exp(teacher[i])) * static_cast<double>(teacher[i] - student[i]);
      }
    }
  });
  const double divergence = weight * temperature * temperature * sum[0] / static_cast<double>(pixels);
  f.out.data[0] = static_cast<T>(divergence + (f.in.size() > 2 ? static_cast<double>(f.in[2].data[0]) : 0.0));
}

// d KL / d logits = (softmax(logits / t) - softmax(teacher / t)) / t
template <class T>
void Distillation::backward(const Backward<T>& b) const {
  if (b.in.size() > 2 && b.din[2]) b.din[2].data[0] += b.dout.data[0];
  if (!b.din[0]) return;
  const std::int64_t c = b.in[0].shape.c, pixels = b.in[0].shape.pixels();
  const T inverse = static_cast<T>(1 / temperature);
  const T scale =
      static_cast<T>(static_cast<double>(b.dout.data[0]) * weight * temperature / static_cast<double>(pixels));
  parallel_for(pixels, detail::rows_per_chunk(4 * c), [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> student(static_cast<std::size_t>(c)), teacher(student);
    for (std::int64_t p = begin; p < end; ++p) {
      log_softmax(b.in[0].data + p * c, student.data(), c, inverse);
      log_softmax(b.in[1].data + p * c, teacher.data(), c, inverse);
      T* dx = b.din[0].data + p * c;
      for (std::int64_t i = 0; i < c; ++i) {
        const auto k = static_cast<std::size_t>(i);
        dx[i] += scale * (std::exp(student[k]) - std::exp(teacher[k]));
      }
    }
  });
}

template void Softmax::forward(const Forward<float>&) const;
template void Softmax::forward(const Forward<double>&) const;
template void Softmax::backward(const Backward<float>&) const;
template void Softmax::backward(const Backward<double>&) const;
template void CrossEntropy::forward(const Forward<float>&) const;
template void CrossEntropy::forward(const Forward<double>&) const;
template void CrossEntropy::backward(const Backward<float>&) const;
template void CrossEntropy::backward(const Backward<double>&) const;
template void Distillation::forward(const Forward<float>&) const;
template void Distillation::forward(const Forward<double>&) const;
template void Distillation::backward(const Backward<float>&) const;
template void Distillation::backward(const Backward<double>&) const;

}  // namespace binade
