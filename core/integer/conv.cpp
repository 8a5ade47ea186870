// The reference of convolutions: windows are copied to rows that lie in memory like the weights; then dot products.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/integer/requant.hpp"

namespace binade::interpreter {
namespace {

/// Windows that share one sweep over the weights.
constexpr std::int64_t kBlock = 8;

/// The input row (or column) that tap i of output row y reads; -1 outside.
int source(int y, int tap, int stride, int pad, int dilation, int extent, bool transposed) {
  const std::int64_t reach = std::int64_t{tap} * dilation;
  std::int64_t at = 0;
  if (transposed) {
    const std::int64_t distance = std::int64_t{y} + pad - reach;
    if (distance < 0 || distance % stride != 0) return -1;
    at = distance / stride;
  } else {
    at = std::int64_t{y} * stride - pad + reach;
  }
  return at >= 0 && at < extent ? static_cast<int>(at) : -1;
}

/// Copies the channels [first, first + channels) of the window of output pixel p: patch[i][j][k], zero outside.
template <class In, class Wide>
void gather(const ConvInstr& conv, const std::byte* in, std::int64_t p, std::int64_t first, std::int64_t channels,
            Wide* patch) {
  const Shape& s = conv.in.shape;
  const int y = static_cast<int>(p / conv.out.shape.w), x = static_cast<int>(p % conv.out.shape.w);
  for (int i = 0; i < conv.kernel_h; ++i) {
    const int row = source(y, i, conv.stride_h, conv.pad_top, conv.dilation_h, s.h, conv.transposed);
    for (int j = 0; j < conv.kernel_w; ++j, patch += channels) {
      const int column = source(x, j, conv.stride_w, conv.pad_left, conv.dilation_w, s.w, conv.transposed);
      if (row < 0 || column < 0) {
        std::fill_n(patch, channels, Wide{0});
        continue;
      }
      const auto* codes = reinterpret_cast<const In*>(in) + (std::int64_t{row} * s.w + column) * s.c + first;
      for (std::int64_t k = 0; k < channels; ++k) patch[k] = codes[k];
    }
  }
}

/// Products of two Wide fit in 32 bits: 16 bits by 16, or unsigned 16 by signed 16.
template <class Acc, class Wide>
Acc dot(const Wide* a, const Wide* b, std::int64_t n) {
  Acc sum = 0;
  for (std::int64_t k = 0; k < n; ++k) sum += std::int32_t{a[k]} * std::int32_t{b[k]};
  return sum;
}

/// Weights widened to the patches' type, and biases at the accumulator's scale.
template <class Acc, class Wide>
struct Layer {
  std::vector<Wide> weights;
  std::vector<Acc> bias;

  Layer(const ConvInstr& conv, const Machine& machine) {
    const QuantSpec spec{.bits = conv.weight_bits};
    const std::int64_t outputs = conv.out.shape.c;
    const std::int64_t count = outputs * conv.kernel_h * conv.kernel_w * (std::int64_t{conv.in.shape.c} / conv.groups);
    const std::byte* codes = machine.constants(conv.weights);
    weights.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) weights.push_back(static_cast<Wide>(load_code(codes, i, spec)));
    for (std::int64_t o = 0; o < outputs; ++o) {
      const std::int64_t code = load_int32(machine.constants(conv.bias) + 4 * o);
      bias.push_back(static_cast<Acc>(round_shift(code, -conv.bias_shift)));
    }
  }
};

template <class In, class Acc, class Wide>
void dense(const ConvInstr& conv, const Machine& machine, const Layer<Acc, Wide>& layer) {
  const std::int64_t outputs = conv.out.shape.c, per_group = outputs / conv.groups;
  const std::int64_t channels = conv.in.shape.c / conv.groups, depth = channels * conv.kernel_h * conv.kernel_w;
  const Requantizer requant(conv.requant, conv.out.spec, machine);
  const std::byte* in = machine.read(conv.in);
  std::byte* out = machine.write(conv.out);
  for_ranges(machine, conv.out.shape.pixels(), 2 * kBlock, [&](std::int64_t begin, std::int64_t end, auto& statistics) {
    std::vector<Wide> patches(static_cast<std::size_t>(kBlock * depth));
    for (std::int64_t p = begin; p < end; p += kBlock) {
      const std::int64_t block = std::min(kBlock, end - p);
      for (std::int64_t g = 0; g < conv.groups; ++g) {
        for (std::int64_t b = 0; b < block; ++b)
          gather<In>(conv, in, p + b, g * channels, channels, patches.data() + b * depth);
        for (std::int64_t o = g * per_group; o < (g + 1) * per_group; ++o) {
          const Wide* row = layer.weights.data() + o * depth;
          for (std::int64_t b = 0; b < block; ++b) {
            const Acc acc = layer.bias[static_cast<std::size_t>(o)] + dot<Acc>(patches.data() + b * depth, row, depth);
            store_code(out, (p + b) * outputs + o, conv.out.spec, requant(acc, o, statistics));
          }
        }
      }
    }
  });
}

/// One input channel per output channel: the loop over channels goes inside.
template <class In, class Acc, class Wide>
void depthwise(const ConvInstr& conv, const Machine& machine, const Layer<Acc, Wide>& layer) {
  const std::int64_t channels = conv.out.shape.c, taps = std::int64_t{conv.kernel_h} * conv.kernel_w;
  std::vector<Wide> turned(layer.weights.size());  // weights as [tap][channel]
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t t = 0; t < taps; ++t)
      turned[static_cast<std::size_t>(t * channels + c)] = layer.weights[static_cast<std::size_t>(c * taps + t)];
  }
  const Requantizer requant(conv.requant, conv.out.spec, machine);
  const std::byte* in = machine.read(conv.in);
  std::byte* out = machine.write(conv.out);
  for_ranges(machine, conv.out.shape.pixels(), pixel_grain(channels * taps),
             [&](std::int64_t begin, std::int64_t end, auto& statistics) {
               std::vector<Wide> patch(turned.size());
               std::vector<Acc> acc(static_cast<std::size_t>(channels));
               for (std::int64_t p = begin; p < end; ++p) {
                 gather<In>(conv, in, p, 0, channels, patch.data());
                 std::copy(layer.bias.begin(), layer.bias.end(), acc.begin());
                 for (std::int64_t t = 0; t < taps; ++t) {
                   const Wide *x = patch.data() + t * channels, *w = turned.data() + t * channels;
                   Acc* sum = acc.data();
                   for (std::int64_t c = 0; c < channels; ++c) sum[c] += std::int32_t{x[c]} * std::int32_t{w[c]};
                 }
                 for (std::int64_t c = 0; c < channels; ++c) {
                   const std::int64_t sum = acc[static_cast<std::size_t>(c)];
                   store_code(out, p * channels + c, conv.out.spec, requant(sum, c, statistics));
                 }
               }
             });
}

template <class In, class Acc>
void convolve(const ConvInstr& conv, const Machine& machine) {
  using Wide = std::conditional_t<std::is_same_v<In, std::uint16_t>, std::int32_t, std::int16_t>;
  const Layer<Acc, Wide> layer(conv, machine);
  if (conv.groups == conv.in.shape.c && conv.groups == conv.out.shape.c) return depthwise<In>(conv, machine, layer);
  dense<In>(conv, machine, layer);
}

/// 32 bits suffice for every partial sum when the bound says so.
template <class In>
void convolve(const ConvInstr& conv, const Machine& machine) {
  if (conv.acc_bound <= std::numeric_limits<std::int32_t>::max()) return convolve<In, std::int32_t>(conv, machine);
  convolve<In, std::int64_t>(conv, machine);
}

}  // namespace

void execute(const ConvInstr& conv, const Machine& machine) {
  const QuantSpec spec = conv.in.spec;
  if (spec.bits <= 8)
    return spec.is_signed ? convolve<std::int8_t>(conv, machine) : convolve<std::uint8_t>(conv, machine);
  spec.is_signed ? convolve<std::int16_t>(conv, machine) : convolve<std::uint16_t>(conv, machine);
}

}  // namespace binade::interpreter
