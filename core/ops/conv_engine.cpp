// Convolution over a batch: kernel choice, chunks, fixed-order reduction.
#include "core/ops/conv_engine.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/tensor.hpp"
#include "core/ops/conv_gemm.hpp"
#include "core/ops/depthwise_conv.hpp"
#include "core/ops/float_conv.hpp"
#include "core/ops/matrix_product.hpp"
#include "core/ops/onednn_conv.hpp"

namespace binade {
namespace {

/// Parts that a sum over the batch is cut into: enough for the threads, few enough to reduce cheaply.
constexpr int kParts = 8;

struct Parts {
  int grain, count;
};
Parts parts_of(std::int64_t n) {
  const auto grain = static_cast<int>((n + kParts - 1) / kParts);
  return {std::max(1, grain), static_cast<int>((n + grain - 1) / std::max(1, grain))};
}

/// to[i] += sum over parts of from[part][i], parts in order; cut by index, so each sum has one order.
template <class T>
void add_parts(const std::vector<T*>& from, std::int64_t count, T* to) {
  parallel_for(count, 16384, [&](std::int64_t begin, std::int64_t end) {
    for (const T* part : from) {
      for (std::int64_t i = begin; i < end; ++i) to[i] += part[i];
    }
  });
}

/// The caller's memory for partial sums, `count` elements for each of `parts`.
template <class T>
std::vector<T*> partial_sums(int parts, std::int64_t count) {
  thread_local AlignedVector<T> buffer;
  const std::int64_t stride = (count + 15) / 16 * 16;
  if (static_cast<std::int64_t>(buffer.size()) < stride * parts)
    buffer.resize(static_cast<std::size_t>(stride * parts));
  std::vector<T*> result;
  for (int i = 0; i < parts; ++i) result.push_back(buffer.data() + i * stride);
  return result;
}

}  // namespace

template <class T>
struct ConvEngine<T>::Impl {
  ConvGeometry geometry;
  bool adopted = false;
  // Float only: the kernels of this geometry. Without them, gemm:: does the work.
  std::optional<FloatConv> fast, transposed;  // the latter: the gradient of a 1x1 convolution
  std::optional<OnednnConv> onednn;           // gradients of what is not depthwise
  std::optional<DepthwiseConv> depthwise;     // gradients
  const T* forward_weights = nullptr;
  const T* backward_weights = nullptr;
  std::uint64_t forward_version = 0, backward_version = 0;

  /// Whether the gradient of the weights is best left to a plain matrix product: not with very few input channels.
  bool multiplies() const { return geometry.is_pointwise() && (geometry.ic >= 32 || geometry.oc <= geometry.ic); }

  /// Drops what was prepared for another geometry.
  void adopt(const ConvGeometry& g) {
    if (adopted && g == geometry) return;
    *this = {};
    geometry = g;
    adopted = true;
    if constexpr (std::is_same_v<T, float>) {
      if (FloatConv::supports(g)) fast.emplace(g);
      if (g.is_pointwise()) transposed.emplace(g);
      if (g.is_depthwise()) {
        depthwise.emplace(g);
      } else if (OnednnConv::supports(g)) {
        onednn.emplace(g);
      }
    }
  }
};

template <class T>
ConvEngine<T>::ConvEngine() : impl_(std::make_unique<Impl>()) {}
template <class T>
ConvEngine<T>::~ConvEngine() = default;

template <class T>
void ConvEngine<T>::forward(const ConvGeometry& g, int images, const T* x, const T* w, const T* b, T* y,
                            std::uint64_t version) {
  impl_->adopt(g);
  Impl& s = *impl_;
  const bool stale = version == 0 || version != s.forward_version || w != s.forward_weights;
  if constexpr (std::is_same_v<T, float>) {
    if (s.fast && stale) s.fast->pack(w);
  }
  s.forward_version = version;
  s.forward_weights = w;
  parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* from = x + i * g.in_count();
      T* to = y + i * g.out_count();
      if constexpr (std::is_same_v<T, float>) {
        if (s.fast) {
          s.fast->forward(from, b, to, {});
          continue;
        }
      }
      gemm::forward(g, from, w, b, to);
    }
  });
}

template <class T>
void ConvEngine<T>::backward_data(const ConvGeometry& g, int images, const T* dy, const T* w, T* dx,
                                  std::uint64_t version, bool fresh) {
  impl_->adopt(g);
  Impl& s = *impl_;
  const bool stale = version == 0 || version != s.backward_version || w != s.backward_weights;
  if constexpr (std::is_same_v<T, float>) {
    if (s.transposed && stale) {
      s.transposed->pack_transposed(w);
    } else if (s.onednn && stale) {
      s.onednn->pack_backward_data(w);
    }
    if (s.depthwise && stale) s.depthwise->pack(w);
  }
  s.backward_version = version;
  s.backward_weights = w;
  parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* from = dy + i * g.out_count();
      T* to = dx + i * g.in_count();
      if constexpr (std::is_same_v<T, float>) {
        if (s.transposed) {
          s.transposed->backward_data(from, to, fresh);
          continue;
        }
        if (s.onednn) {
          s.onednn->backward_data(from, to, fresh);
          continue;
        }
      }
      if constexpr (std::is_same_v<T, float>) {
        if (s.depthwise) {
          s.depthwise->backward_data(from, to, fresh);
          continue;
        }
      }
      if (fresh) std::fill_n(to, g.in_count(), T(0));  // of one image: it stays in cache
      gemm::backward_data(g, from, w, to);
    }
  });
}

template <class T>
void ConvEngine<T>::backward_weights(const ConvGeometry& g, int images, const T* x, const T* dy, T* dw) {
  impl_->adopt(g);
  Impl& s = *impl_;
  const Parts parts = parts_of(images);
  if constexpr (std::is_same_v<T, float>) {
    if (s.multiplies() && parts.count == 1) {
      return cross_product(images * (g.out_count() / g.oc), g.oc, g.ic, dy, x, dw, true);
    }
    if (s.onednn && !s.multiplies()) {
      s.onednn->prepare_backward_weights(std::min(parts.grain, images));
      s.onednn->prepare_backward_weights(images - (parts.count - 1) * parts.grain);
    }
  }
  const std::vector<T*> sums = partial_sums<T>(parts.count, g.weight_count());
  parallel_for(images, parts.grain, [&](std::int64_t begin, std::int64_t end) {
    T* sum = sums[static_cast<std::size_t>(begin / parts.grain)];
    if constexpr (std::is_same_v<T, float>) {
      if (s.multiplies()) {
        return cross_product((end - begin) * (g.out_count() / g.oc), g.oc, g.ic, dy + begin * g.out_count(),
                             x + begin * g.in_count(), sum, false);
      }
      if (s.onednn) {
        s.onednn->backward_weights(static_cast<int>(end - begin), x + begin * g.in_count(), dy + begin * g.out_count(),
                                   sum);
        return;
      }
      if (s.depthwise) {
        s.depthwise->backward_weights(static_cast<int>(end - begin), x + begin * g.in_count(),
                                      dy + begin * g.out_count(), sum);
        return;
      }
    }
    std::fill_n(sum, g.weight_count(), T(0));
    for (std::int64_t i = begin; i < end; ++i) {
      gemm::backward_weights(g, x + i * g.in_count(), dy + i * g.out_count(), sum);
    }
  });
  add_parts(sums, g.weight_count(), dw);
}

template <class T>
void add_channel_sums(std::int64_t pixels, int channels, const T* dy, T* db) {
  const Parts parts = parts_of(pixels);
  const std::vector<T*> sums = partial_sums<T>(parts.count, channels);
  parallel_for(pixels, parts.grain, [&](std::int64_t begin, std::int64_t end) {
    T* sum = sums[static_cast<std::size_t>(begin / parts.grain)];
    std::fill_n(sum, channels, T(0));
    std::int64_t p = begin;
    for (; p + 4 <= end; p += 4) {
      const T *a = dy + p * channels, *b = a + channels, *c = b + channels, *d = c + channels;
      for (int i = 0; i < channels; ++i) sum[i] += (a[i] + b[i]) + (c[i] + d[i]);
    }
    for (; p < end; ++p) {
      for (int i = 0; i < channels; ++i) sum[i] += dy[p * channels + i];
    }
  });
  add_parts(sums, channels, db);
}

void check_window(const char* op, const ConvWindow& v) {
  const auto check = [&](bool ok, const std::string& what) {
    if (!ok) throw DataError(std::string(op) + ": " + what);
  };
  check(v.stride_h >= 1 && v.stride_w >= 1,
        "strides are " + std::to_string(v.stride_h) + " and " + std::to_string(v.stride_w) + ", must be at least 1");
  check(v.dilation_h >= 1 && v.dilation_w >= 1, "dilations are " + std::to_string(v.dilation_h) + " and " +
                                                    std::to_string(v.dilation_w) + ", must be at least 1");
  check(v.pad_top >= 0 && v.pad_left >= 0 && v.pad_bottom >= 0 && v.pad_right >= 0, "pads must not be negative");
  check(v.groups >= 1, "groups is " + std::to_string(v.groups) + ", must be at least 1");
}

template class ConvEngine<float>;
template class ConvEngine<double>;
template void add_channel_sums(std::int64_t, int, const float*, float*);
template void add_channel_sums(std::int64_t, int, const double*, double*);

}  // namespace binade
