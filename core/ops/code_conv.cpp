// Rows of bytes times packed weights; windows are gathered from a padded image of bytes.
#include "core/ops/code_conv.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/parallel.hpp"
#include "core/base/tensor.hpp"
#include "core/ops/simd/codes.hpp"

namespace binade {
namespace {

constexpr int kLanes = 16;  ///< of a panel of weights
constexpr int kSlack = 64;  ///< bytes after buffers that copies may touch
constexpr int kMostBits = 8;
constexpr int kMostShift = 120;  ///< the scale of sums is a normal float

int padded(int count, int to) {
  return (count + to - 1) / to * to;
}

/// The calling thread's memory. Slots are for buffers that are needed at the same time.
std::uint8_t* scratch(int slot, std::int64_t bytes) {
  thread_local AlignedVector<std::uint8_t> buffers[2];
  auto& buffer = buffers[slot];
  const auto wanted = static_cast<std::size_t>(bytes + kSlack);
  if (buffer.size() < wanted) buffer.resize(wanted);
  return buffer.data();
}

/// What an unsigned byte has more than a code.
int zero_of(QuantSpec spec) {
  return spec.is_signed ? 128 : 0;
}

/// Copies `bytes` bytes in steps of 16, so up to 15 more.
void copy_run(const std::uint8_t* from, int bytes, std::uint8_t* to) {
  for (int i = 0; i < bytes; i += 16) std::memcpy(to + i, from + i, 16);
}

}  // namespace

bool CodeConv::supports(const ConvGeometry& g, QuantSpec x, QuantSpec w) {
  return simd::codes() != nullptr && g.groups == 1 && g.dilation_h == 1 && g.dilation_w == 1 && x.bits <= kMostBits &&
         w.bits <= kMostBits && w.is_signed && std::abs(x.frac + w.frac) <= kMostShift &&
         std::abs(x.frac) <= kMostShift;
}

void CodeConv::pack(Operand w, const float* bias) {
  depth_ = g_.kh * g_.kw * g_.ic;
  quads_ = padded(depth_, 4) / 4;
  const auto lanes = static_cast<std::size_t>(padded(g_.oc, kLanes));
  const std::size_t bytes = lanes * 4 * static_cast<std::size_t>(quads_);
  if (weights_.size() != bytes) {
    weights_ = Block<std::int8_t>(bytes);
    starts_ = Block<std::int32_t>(lanes);
    bias_ = Block<float>(lanes);
  }
  std::fill_n(weights_.data(), bytes, std::int8_t{0});
  std::fill_n(starts_.data(), lanes, 0);
  std::fill_n(bias_.data(), lanes, 0.0F);
  const float factor = std::ldexp(1.0F, w.spec.frac);
  const int zero = zero_of(x_);
  for (int o = 0; o < g_.oc; ++o) {
    const float* from = w.values + std::int64_t{o} * depth_;
    std::int8_t* to = weights_.data() + std::int64_t{o / kLanes} * quads_ * 4 * kLanes + o % kLanes * 4;
    std::int32_t sum = 0;
    bool are_numbers = true;
    for (int k = 0; k < depth_; ++k) {
      are_numbers = are_numbers && !std::isnan(from[k]);
      const auto code = are_numbers ? static_cast<std::int32_t>(from[k] * factor) : 0;
      to[k / 4 * 4 * kLanes + k % 4] = static_cast<std::int8_t>(code);
      sum += code;
    }
    starts_.data()[o] = -zero * sum;
    if (bias != nullptr) bias_.data()[o] = bias[o];
    if (!are_numbers) bias_.data()[o] = std::numeric_limits<float>::quiet_NaN();
  }
}

void CodeConv::forward(const ConvGeometry& g, int images, Operand x, Operand w, const float* bias, float* y,
                       std::uint64_t version) {
  if (version == 0 || version != version_ || !(g == g_) || !(x.spec == x_) || !(w.spec == w_)) {
    g_ = g;
    x_ = x.spec;
    w_ = w.spec;
    version_ = version;
    pack(w, bias);
  }
  parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) run_image(x.values + i * g.in_count(), y + i * g.out_count());
  });
}

void CodeConv::run_image(const float* x, float* y) const {
  const simd::CodeKernels& kernels = *simd::codes();
  const float factor = std::ldexp(1.0F, x_.frac);
  const int zero = zero_of(x_), row_bytes = 4 * quads_;
  // Rows of bytes that stay in the first cache beside a panel; in the second, where weights are read again and again.
  const std::int64_t weights = std::int64_t{quads_} * 4 * g_.oc;
  const std::int64_t block = std::max<std::int64_t>((weights > (256 << 10) ? 192 << 10 : 16 << 10) / row_bytes, 48);
  const int height = std::max(g_.ih + g_.pad_top, (g_.oh - 1) * g_.stride_h + g_.kh);
  const int width = std::max(g_.iw + g_.pad_left, (g_.ow - 1) * g_.stride_w + g_.kw);
  std::uint8_t* image = nullptr;
  bool are_numbers = true;
  if (!g_.is_pointwise()) {
    const std::int64_t line = std::int64_t{width} * g_.ic, bytes = line * height;
    image = scratch(0, bytes);
    std::memset(image, zero, static_cast<std::size_t>(bytes));
    for (int row = 0; row < g_.ih; ++row) {
      are_numbers &= kernels.to_bytes(x + std::int64_t{row} * g_.iw * g_.ic, std::int64_t{g_.iw} * g_.ic, factor, zero,
                                      image + (row + g_.pad_top) * line + std::int64_t{g_.pad_left} * g_.ic);
    }
  }
  const std::int64_t pixels = std::int64_t{g_.oh} * g_.ow;
  std::uint8_t* rows = scratch(1, std::min(block, pixels) * row_bytes);
  for (std::int64_t first = 0; first < pixels; first += block) {
    const std::int64_t count = std::min(block, pixels - first);
    if (image == nullptr && row_bytes == g_.ic) {
      are_numbers &= kernels.to_bytes(x + first * g_.ic, count * g_.ic, factor, zero, rows);
    } else if (image == nullptr) {
      for (std::int64_t r = 0; r < count; ++r) {
        are_numbers &= kernels.to_bytes(x + (first + r) * g_.ic, g_.ic, factor, zero, rows + r * row_bytes);
      }
    } else {
      for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t oy = (first + r) / g_.ow, ox = (first + r) % g_.ow;
        const std::uint8_t* from = image + (oy * g_.stride_h * width + ox * g_.stride_w) * g_.ic;
        for (int i = 0; i < g_.kh; ++i) {
          copy_run(from + std::int64_t{i} * width * g_.ic, g_.kw * g_.ic, rows + r * row_bytes + i * g_.kw * g_.ic);
        }
      }
    }
    kernels.product({.a = rows,
                     .a_stride = row_bytes,
                     .rows = static_cast<int>(count),
                     .quads = quads_,
                     .channels = g_.oc,
                     .w = weights_.data(),
                     .start = starts_.data(),
                     .bias = bias_.data(),
                     .scale = std::ldexp(1.0F, -(x_.frac + w_.frac)),
                     .y = y + first * g_.oc,
                     .y_stride = g_.oc});
  }
  if (!are_numbers) std::fill_n(y, g_.out_count(), std::numeric_limits<float>::quiet_NaN());
}

}  // namespace binade
