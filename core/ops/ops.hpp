// The vocabulary: attributes, contract and formula of every operator, on one page.
//
// An op is a plain value. Activations are NHWC, convolution weights OHWI, matrices {out, 1, 1, in}, vectors {1,1,1,c}.
// The first inputs are activations, then parameters in the order given; "[b]" marks an optional last input.
// Every op is a pure function of its inputs, except that BatchNorm updates its running statistics in training mode.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "core/base/fixed_point.hpp"
#include "core/base/tensor.hpp"
#include "core/ops/traits.hpp"

namespace binade {

/// Inference uses running statistics and drops nothing; training uses batch statistics and keeps what backward needs.
enum class Mode : std::uint8_t { inference, training };

/// What one node keeps between calls: packed weights, prepared primitives, batch statistics, masks.
class OpState {
 public:
  /// The state as an S, default-constructed on first use. One node always asks for the same S.
  template <class S>
  S& get() {
    if (!data_) data_ = std::make_shared<S>();
    return *static_cast<S*>(data_.get());
  }
  void clear() { data_.reset(); }

 private:
  std::shared_ptr<void> data_;
};

/// Arguments of a forward call. `out` is fully overwritten. in[i] and out never overlap.
template <class T>
struct Forward {
  std::span<const View<const T>> in;
  View<T> out;
  OpState& state;
  Mode mode = Mode::inference;
  std::uint64_t seed = 0;  ///< for ops with randomness; differs by node and step
  /// Changes whenever any parameter changed: packed copies made under another number are stale.
  std::uint64_t parameter_version = 0;
  /// Training mode: writable views of the inputs that the op updates, in their order (BatchNorm's 3 and 4); or empty.
  std::span<const View<T>> updated;
};

/// Arguments of a backward call, after a forward call in training mode; with the same state where the op keeps
/// something of the batch (a BatchNorm that is not frozen does), else perhaps with another one. Gradients are ADDED to
/// din[i]; a null din[i] means "not wanted".
template <class T>
struct Backward {
  std::span<const View<const T>> in;
  View<const T> out;
  View<const T> dout;
  std::span<const View<T>> din;
  OpState& state;
  std::uint64_t seed = 0;
  std::uint64_t parameter_version = 0;  ///< as in Forward
  /// Bit i: din[i] counts as zero, whatever it holds; the op writes every element. Only for ops that take fresh
  /// gradients.
  std::uint32_t fresh = 0;
  bool is_fresh(std::size_t i) const { return (fresh >> i & 1) != 0; }
};

/// An attribute that integers need: a number of bits, for codes of up to 8 bits and for wider ones. 0: real numbers.
template <class Op>
struct IntegerBits {
  int Op::*bits;
  int narrow, wide;
};
template <class Op>
IntegerBits(int Op::*, int, int) -> IntegerBits<Op>;

/// One attribute of an op: the single list that is printed, compared and saved.
template <class Op, class Member>
struct Field {
  std::string_view name;
  Member Op::*member;
};
template <class Op, class Member>
Field(std::string_view, Member Op::*) -> Field<Op, Member>;

/// 2-D convolution (cross-correlation). in: x, w {oc, kh, kw, ic/groups}, [b {1,1,1,oc}].
/// @math y[n,oy,ox,o] = b[o] + sum_{i,j,c} x[n, oy*stride_h - pad_top + i*dilation_h, ..., g*ic/groups + c] *
/// w[o,i,j,c]
struct Conv2d {
  static constexpr std::string_view name = "Conv2d";
  static constexpr OpTraits traits{Role::layer,   IntegerForm::instruction,
                                   KeepsGrid::no, Homogeneous::no,
                                   Reads::all,    {.learned = 0b110, .takes_fresh = true}};
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int dilation_h = 1, dilation_w = 1;
  int groups = 1;
  static constexpr auto fields =
      std::tuple{Field{"stride_h", &Conv2d::stride_h},     Field{"stride_w", &Conv2d::stride_w},
                 Field{"pad_top", &Conv2d::pad_top},       Field{"pad_left", &Conv2d::pad_left},
                 Field{"pad_bottom", &Conv2d::pad_bottom}, Field{"pad_right", &Conv2d::pad_right},
                 Field{"dilation_h", &Conv2d::dilation_h}, Field{"dilation_w", &Conv2d::dilation_w},
                 Field{"groups", &Conv2d::groups}};
};

/// Transposed convolution. in: x, w {oc, kh, kw, ic/groups} (the same OHWI order), [b].
/// @math output extent = (h - 1) * stride - pad_top - pad_bottom + dilation * (kh - 1) + 1 + output_pad
struct ConvTranspose2d {
  static constexpr std::string_view name = "ConvTranspose2d";
  static constexpr OpTraits traits{Role::layer, IntegerForm::instruction, KeepsGrid::no, Homogeneous::no,
                                   Reads::all,  {.learned = 0b110}};
  int stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int dilation_h = 1, dilation_w = 1;
  int output_pad_h = 0, output_pad_w = 0;
  int groups = 1;
  static constexpr auto fields = std::tuple{Field{"stride_h", &ConvTranspose2d::stride_h},
                                            Field{"stride_w", &ConvTranspose2d::stride_w},
                                            Field{"pad_top", &ConvTranspose2d::pad_top},
                                            Field{"pad_left", &ConvTranspose2d::pad_left},
                                            Field{"pad_bottom", &ConvTranspose2d::pad_bottom},
                                            Field{"pad_right", &ConvTranspose2d::pad_right},
                                            Field{"dilation_h", &ConvTranspose2d::dilation_h},
                                            Field{"dilation_w", &ConvTranspose2d::dilation_w},
                                            Field{"output_pad_h", &ConvTranspose2d::output_pad_h},
                                            Field{"output_pad_w", &ConvTranspose2d::output_pad_w},
                                            Field{"groups", &ConvTranspose2d::groups}};
};

/// Matrix product over the channels of every pixel. in: x {n,h,w,ic}, w {oc,1,1,ic}, [b]. @math y = x w^T + b
struct Linear {
  static constexpr std::string_view name = "Linear";
  static constexpr OpTraits traits{Role::layer, IntegerForm::instruction, KeepsGrid::no, Homogeneous::no,
                                   Reads::all,  {.learned = 0b110}};
  static constexpr auto fields = std::tuple{};
};

/// in: x, gamma, beta, mean, variance. Statistics over n, h, w.
/// @math y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
/// Training: batch mean and biased variance normalise; running <- (1 - momentum) * running + momentum * batch, the
/// running variance taking the unbiased batch variance (PyTorch's convention). `updated` = {inputs 3, 4}.
/// `frozen`: training, too, normalises by the running statistics and leaves them alone.
struct BatchNorm {
  static constexpr std::string_view name = "BatchNorm";
  static constexpr OpTraits traits{Role::normalization, IntegerForm::folded,
                                   KeepsGrid::no,       Homogeneous::no,
                                   Reads::channel,      {.learned = 0b110, .statistics = 0b11000, .takes_fresh = true}};
  double epsilon = 1e-5;
  double momentum = 0.1;
  bool frozen = false;
  static constexpr auto fields =
      std::tuple{Field{"epsilon", &BatchNorm::epsilon}, Field{"momentum", &BatchNorm::momentum},
                 Field{"frozen", &BatchNorm::frozen}};
};

/// in: x, gamma, beta. Statistics over the channels of each pixel.
struct LayerNorm {
  static constexpr std::string_view name = "LayerNorm";
  static constexpr OpTraits traits{
      Role::normalization, IntegerForm::none, KeepsGrid::no,
      Homogeneous::no,     Reads::all,        {.learned = 0b110, .why_not = "there is no integer instruction for it"}};
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &LayerNorm::epsilon}};
};

/// @math max(x, 0)   @grad 1 for x > 0, else 0
struct Relu {
  static constexpr std::string_view name = "Relu";
  static constexpr OpTraits traits{Role::activation, IntegerForm::accumulator, KeepsGrid::no,
                                   Homogeneous::yes, Reads::element,           {.takes_fresh = true, .is_clamp = true}};
  static constexpr auto fields = std::tuple{};
};

/// @math min(max(x, lo), hi); ReLU6 is Clip{0, 6}   @grad 1 for lo < x < hi, else 0
struct Clip {
  static constexpr std::string_view name = "Clip";
  static constexpr OpTraits traits{Role::activation, IntegerForm::accumulator,
                                   KeepsGrid::no,    Homogeneous::by_attributes,
                                   Reads::element,   {.takes_fresh = true, .is_clamp = true}};
  double lo = 0, hi = 6;
  static constexpr auto fields = std::tuple{Field{"lo", &Clip::lo}, Field{"hi", &Clip::hi}};
  constexpr bool is_homogeneous() const { return lo == 0; }
};

/// @math x >= 0 ? x : slope * x; with slope_bits b > 0, the slope is rounded to the grid spec_for_clip(|slope|, b,
/// true)
struct LeakyRelu {
  static constexpr std::string_view name = "LeakyRelu";
  static constexpr OpTraits traits{Role::activation, IntegerForm::accumulator, KeepsGrid::no, Homogeneous::yes,
                                   Reads::element};
  double slope = 0.01;
  int slope_bits = 0;  ///< 0: real
  static constexpr IntegerBits integer_bits{&LeakyRelu::slope_bits, 8, 16};
  static constexpr auto fields =
      std::tuple{Field{"slope", &LeakyRelu::slope}, Field{"slope_bits", &LeakyRelu::slope_bits}};
  /// The grid of the rounded slope, for slope_bits > 0.
  QuantSpec slope_spec() const;
  double effective_slope() const;
};

/// in: x, slope {1,1,1,c} or {1,1,1,1}. @math x >= 0 ? x : slope[c] * x
struct PRelu {
  static constexpr std::string_view name = "PRelu";
  static constexpr OpTraits traits{Role::activation, IntegerForm::accumulator, KeepsGrid::no,
                                   Homogeneous::yes, Reads::element,           {.learned = 0b10}};
  static constexpr auto fields = std::tuple{};
};

/// @math 1 / (1 + exp(-x))
struct Sigmoid {
  static constexpr std::string_view name = "Sigmoid";
  static constexpr OpTraits traits = function_of_one_number("Sigmoid");
  static constexpr auto fields = std::tuple{};
};

/// @math clip(alpha * x + beta, 0, 1); PyTorch's hard sigmoid is alpha = 1/6, beta = 1/2
struct HardSigmoid {
  static constexpr std::string_view name = "HardSigmoid";
  static constexpr OpTraits traits = function_of_one_number("HardSigmoid");
  double alpha = 1.0 / 6, beta = 0.5;
  static constexpr auto fields = std::tuple{Field{"alpha", &HardSigmoid::alpha}, Field{"beta", &HardSigmoid::beta}};
};

/// @math x * clip(x + 3, 0, 6) / 6
struct HardSwish {
  static constexpr std::string_view name = "HardSwish";
  static constexpr OpTraits traits = function_of_one_number("HardSwish", 14);
  static constexpr auto fields = std::tuple{};
};

/// @math tanh(x)
struct Tanh {
  static constexpr std::string_view name = "Tanh";
  static constexpr OpTraits traits = function_of_one_number("Tanh");
  static constexpr auto fields = std::tuple{};
};

/// @math x >= 0 ? x : alpha * (exp(x) - 1)
struct Elu {
  static constexpr std::string_view name = "Elu";
  static constexpr OpTraits traits = function_of_one_number("Elu");
  double alpha = 1;
  static constexpr auto fields = std::tuple{Field{"alpha", &Elu::alpha}};
};

enum class GeluForm : std::uint8_t { none, tanh };
/// @math x * Phi(x) = x / 2 * (1 + erf(x / sqrt 2)); the form `tanh` is x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715
/// x^3)))
struct Gelu {
  static constexpr std::string_view name = "Gelu";
  static constexpr OpTraits traits = function_of_one_number("Gelu", 20);
  GeluForm approximate = GeluForm::none;
  static constexpr auto fields = std::tuple{Field{"approximate", &Gelu::approximate}};
};

/// @math 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x
struct Erf {
  static constexpr std::string_view name = "Erf";
  static constexpr OpTraits traits = function_of_one_number("Erf");
  static constexpr auto fields = std::tuple{};
};

/// @math log(1 + exp(x))
struct Softplus {
  static constexpr std::string_view name = "Softplus";
  static constexpr OpTraits traits = function_of_one_number("Softplus");
  static constexpr auto fields = std::tuple{};
};

/// @math x * tanh(log(1 + exp(x)))
struct Mish {
  static constexpr std::string_view name = "Mish";
  static constexpr OpTraits traits = function_of_one_number("Mish", 18);
  static constexpr auto fields = std::tuple{};
};

/// Softmax over the channels of each pixel.
/// @math e = exp(x - max x), y = e / sum e; with exponential_bits b > 0, e is rounded to multiples of 2^-b, ties up, as
/// an integer table has it
struct Softmax {
  static constexpr std::string_view name = "Softmax";
  static constexpr OpTraits traits{Role::normalization, IntegerForm::instruction, KeepsGrid::no, Homogeneous::no,
                                   Reads::all};
  int exponential_bits = 0;  ///< 0: real
  static constexpr IntegerBits integer_bits{&Softmax::exponential_bits, 16, 24};
  static constexpr auto fields = std::tuple{Field{"exponential_bits", &Softmax::exponential_bits}};
};

/// in: a, b. Extents equal, or 1 in either operand (broadcast; the batch too, when the operand is a parameter).
struct Add {
  static constexpr std::string_view name = "Add";
  static constexpr OpTraits traits{Role::merge,      IntegerForm::instruction, KeepsGrid::no,
                                   Homogeneous::yes, Reads::element,           {.takes_fresh = true}};
  static constexpr auto fields = std::tuple{};
};

/// in: a, b. Broadcast as Add.
struct Mul {
  static constexpr std::string_view name = "Mul";
  static constexpr OpTraits traits{Role::merge, IntegerForm::instruction, KeepsGrid::no, Homogeneous::no,
                                   Reads::element};
  static constexpr auto fields = std::tuple{};
};

/// in: two or more tensors of equal n, h, w; joins their channels.
struct Concat {
  static constexpr std::string_view name = "Concat";
  static constexpr OpTraits traits{Role::merge, IntegerForm::instruction, KeepsGrid::no, Homogeneous::yes, Reads::all};
  static constexpr auto fields = std::tuple{};
};

/// Every `step`-th element of [begin, end) on one axis: 1 = h, 2 = w, 3 = c. Step >= 1.
struct Slice {
  static constexpr std::string_view name = "Slice";
  static constexpr OpTraits traits{Role::shape, IntegerForm::instruction, KeepsGrid::yes, Homogeneous::yes, Reads::all};
  int axis = 1, begin = 0, end = 1, step = 1;
  static constexpr auto fields = std::tuple{Field{"axis", &Slice::axis}, Field{"begin", &Slice::begin},
                                            Field{"end", &Slice::end}, Field{"step", &Slice::step}};
};

/// Pads h, w and channels with a constant. Amounts are >= 0.
struct Pad {
  static constexpr std::string_view name = "Pad";
  static constexpr OpTraits traits{Role::shape, IntegerForm::instruction, KeepsGrid::by_attributes,
                                   Homogeneous::by_attributes, Reads::all};
  int top = 0, left = 0, bottom = 0, right = 0, channels_before = 0, channels_after = 0;
  double value = 0;
  static constexpr auto fields = std::tuple{Field{"top", &Pad::top},
                                            Field{"left", &Pad::left},
                                            Field{"bottom", &Pad::bottom},
                                            Field{"right", &Pad::right},
                                            Field{"channels_before", &Pad::channels_before},
                                            Field{"channels_after", &Pad::channels_after},
                                            Field{"value", &Pad::value}};
  constexpr bool keeps_grid() const { return value == 0; }
  constexpr bool is_homogeneous() const { return value == 0; }
};

/// Padding never wins. The gradient goes to the first maximum of a window in row order. ceil_mode as in ONNX: a window
/// that would start in the bottom or right padding is dropped.
struct MaxPool {
  static constexpr std::string_view name = "MaxPool";
  static constexpr OpTraits traits{Role::pool, IntegerForm::instruction, KeepsGrid::yes, Homogeneous::yes,
                                   Reads::channel};
  int kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool ceil_mode = false;
  static constexpr auto fields =
      std::tuple{Field{"kernel_h", &MaxPool::kernel_h},     Field{"kernel_w", &MaxPool::kernel_w},
                 Field{"stride_h", &MaxPool::stride_h},     Field{"stride_w", &MaxPool::stride_w},
                 Field{"pad_top", &MaxPool::pad_top},       Field{"pad_left", &MaxPool::pad_left},
                 Field{"pad_bottom", &MaxPool::pad_bottom}, Field{"pad_right", &MaxPool::pad_right},
                 Field{"ceil_mode", &MaxPool::ceil_mode}};
};

/// Mean of a window. count_include_pad: the padding's zeros count in the divisor.
struct AvgPool {
  static constexpr std::string_view name = "AvgPool";
  static constexpr OpTraits traits{Role::pool, IntegerForm::instruction, KeepsGrid::no, Homogeneous::yes,
                                   Reads::channel};
  int kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool ceil_mode = false;
  bool count_include_pad = false;
  static constexpr auto fields =
      std::tuple{Field{"kernel_h", &AvgPool::kernel_h},     Field{"kernel_w", &AvgPool::kernel_w},
                 Field{"stride_h", &AvgPool::stride_h},     Field{"stride_w", &AvgPool::stride_w},
                 Field{"pad_top", &AvgPool::pad_top},       Field{"pad_left", &AvgPool::pad_left},
                 Field{"pad_bottom", &AvgPool::pad_bottom}, Field{"pad_right", &AvgPool::pad_right},
                 Field{"ceil_mode", &AvgPool::ceil_mode},   Field{"count_include_pad", &AvgPool::count_include_pad}};
};

/// Mean over h and w: {n, 1, 1, c}.
struct GlobalAvgPool {
  static constexpr std::string_view name = "GlobalAvgPool";
  static constexpr OpTraits traits{Role::pool, IntegerForm::instruction, KeepsGrid::no, Homogeneous::yes,
                                   Reads::channel};
  static constexpr auto fields = std::tuple{};
};

enum class Interpolation : std::uint8_t { nearest, bilinear };
/// Which source coordinate an output pixel o has, for scale = in / out:
/// half_pixel (o + 1/2) * scale - 1/2; align_corners o * (in - 1) / (out - 1); asymmetric o * scale.
enum class Coordinates : std::uint8_t { half_pixel, align_corners, asymmetric };

/// Resizes h and w to fixed extents. Bilinear clamps coordinates at the border. Nearest takes floor(source) for
/// asymmetric coordinates and the nearest pixel, ties down, for the others (ONNX's round_prefer_floor).
struct Resize {
  static constexpr std::string_view name = "Resize";
  static constexpr OpTraits traits{Role::shape, IntegerForm::instruction, KeepsGrid::by_attributes, Homogeneous::yes,
                                   Reads::channel};
  int height = 1, width = 1;
  Interpolation interpolation = Interpolation::bilinear;
  Coordinates coordinates = Coordinates::half_pixel;
  int weight_bits = 0;  ///< bilinear weights are multiples of 2^-weight_bits, ties up, as in integers; 0: real
  static constexpr IntegerBits integer_bits{&Resize::weight_bits, 7, 11};
  static constexpr auto fields = std::tuple{
      Field{"height", &Resize::height}, Field{"width", &Resize::width}, Field{"interpolation", &Resize::interpolation},
      Field{"coordinates", &Resize::coordinates}, Field{"weight_bits", &Resize::weight_bits}};
  constexpr bool keeps_grid() const { return interpolation == Interpolation::nearest; }
};

/// The same elements in the same linear (NHWC) order under other extents; n is kept. h = w = 1 and c = 0 flattens.
struct Reshape {
  static constexpr std::string_view name = "Reshape";
  static constexpr OpTraits traits{Role::shape, IntegerForm::instruction, KeepsGrid::yes, Homogeneous::yes, Reads::all};
  int h = 1, w = 1, c = 0;  ///< c = 0: what is left
  static constexpr auto fields = std::tuple{Field{"h", &Reshape::h}, Field{"w", &Reshape::w}, Field{"c", &Reshape::c}};
};

/// Training: each element is zeroed with `probability`, the others scaled by 1 / (1 - probability); the mask is a
/// function of (seed, index) only. Inference: identity.
struct Dropout {
  static constexpr std::string_view name = "Dropout";
  static constexpr OpTraits traits{Role::regularizer, IntegerForm::identity, KeepsGrid::yes, Homogeneous::yes,
                                   Reads::element};
  double probability = 0.5;
  static constexpr auto fields = std::tuple{Field{"probability", &Dropout::probability}};
};

/// Mean cross entropy over the pixels that are not ignored. in: logits {n,h,w,classes}, labels {n,h,w,1} (class index
/// as a number), [weights w of the classes {1,1,1,classes}: the sum is divided by that of the labels' weights]. Output
/// {1,1,1,1}. Label smoothing e: the target is (1 - e) on the label plus e / classes everywhere, and what the target
/// has on a class counts with the weight of that class, not of the label's. Only logits have a gradient. A label that
/// is neither a class nor `ignore_label` is a DataError; with every pixel ignored the loss is 0.
struct CrossEntropy {
  static constexpr std::string_view name = "CrossEntropy";
  static constexpr OpTraits traits{Role::loss,      IntegerForm::none, KeepsGrid::no,
                                   Homogeneous::no, Reads::all,        {.why_not = "a loss belongs to training"}};
  int ignore_label = 255;
  double label_smoothing = 0;
  static constexpr auto fields = std::tuple{Field{"ignore_label", &CrossEntropy::ignore_label},
                                            Field{"label_smoothing", &CrossEntropy::label_smoothing}};
};

/// x on the grid `spec`: saturate(round(x * 2^frac)) * 2^-frac.
/// @grad straight-through, clipped: dout where the unclamped code min_code - 1/2 < x * 2^frac < max_code + 1/2, else 0;
/// not clipped: dout
struct FakeQuant {
  static constexpr std::string_view name = "FakeQuant";
  static constexpr OpTraits traits{Role::quantizer, IntegerForm::grid, KeepsGrid::no,
                                   Homogeneous::no, Reads::element,    {.takes_fresh = true}};
  QuantSpec spec;
  Rounding rounding = Rounding::half_up;
  bool clipped = true;
  static constexpr auto fields = std::tuple{Field{"spec", &FakeQuant::spec}, Field{"rounding", &FakeQuant::rounding},
                                            Field{"clipped", &FakeQuant::clipped}};
};

/// Quantizer with a learned clip. in: x, alpha {1,1,1,1}. The grid is spec_for_clip(alpha, bits, is_signed); x is cut
/// at a limit c before it is rounded: at alpha itself (Choi), or at the end of the grid, the power of two at or above
/// alpha
/// (`at_grid_end`, TI).
/// @math y = q(min(max(x, lo), c)), lo = 0 or -c
/// @grad dx = dout inside (lo, c) (everywhere if not clipped); dalpha = sum of dout at x >= c minus, when signed, the
/// sum of dout at x <= -c
/// @source Choi et al. 2018, PACT, with the scale rounded up to a power of two; TI's PACT2 [docs/ti.md 2.3]
struct Pact {
  static constexpr std::string_view name = "Pact";
  static constexpr OpTraits traits{Role::quantizer, IntegerForm::frozen, KeepsGrid::no,
                                   Homogeneous::no, Reads::element,      {.learned = 0b10}};
  int bits = 8;
  bool is_signed = false;
  Rounding rounding = Rounding::half_up;
  bool clipped = true;
  bool at_grid_end = false;
  static constexpr auto fields =
      std::tuple{Field{"bits", &Pact::bits}, Field{"is_signed", &Pact::is_signed}, Field{"rounding", &Pact::rounding},
                 Field{"clipped", &Pact::clipped}, Field{"at_grid_end", &Pact::at_grid_end}};
  /// The grid under a clip.
  QuantSpec spec(double alpha) const { return spec_for_clip(alpha, bits, is_signed); }
  /// Where x is cut.
  double limit(double alpha) const;
};

/// Quantizer with a learned threshold 2^l. in: x, l {1,1,1,1}. The grid's range is 2^k, k = ceil(l); `held`: k =
/// exponent, whatever l is.
/// @math y = s * clamp(round(x / s), n, p), s = 2^k / 2^(bits - 1) signed, 2^k / 2^bits unsigned; n, p the end codes
/// @grad with r = round(x / s): dx = dout where n <= r <= p, else 0; dl = sum of dout * s * ln 2 * (r - x / s where
/// n <= r <= p, n where r < n, p where r > p)   @source Jain et al. 2019 (TQT), equations 7 and 8
struct Tqt {
  static constexpr std::string_view name = "Tqt";
  static constexpr OpTraits traits{Role::quantizer, IntegerForm::frozen, KeepsGrid::no,
                                   Homogeneous::no, Reads::element,      {.learned = 0b10}};
  int bits = 8;  ///< 2..16
  bool is_signed = false;
  Rounding rounding = Rounding::half_up;
  bool held = false;
  int exponent = 0;
  static constexpr auto fields =
      std::tuple{Field{"bits", &Tqt::bits}, Field{"is_signed", &Tqt::is_signed}, Field{"rounding", &Tqt::rounding},
                 Field{"held", &Tqt::held}, Field{"exponent", &Tqt::exponent}};
  /// The grid under a threshold. @throws DataError unless the range is between 2^-100 and 2^99
  QuantSpec spec(double log2_threshold) const;
};

/// Quantizer with a learned step of any size: not a fixed-point grid, but what those are compared with.
/// in: x, step {1,1,1,1} > 0.
/// @math y = step * round(clamp(x / step, n, p)), n, p the end codes of `bits` bits
/// @grad dx = dout where n < x / step < p, else 0; dstep = gradient_scale * sum of dout * (round(x / step) - x / step
/// where n < x / step < p, n below, p above); the authors' gradient_scale is 1 / sqrt(elements * p)
/// @source Esser et al. 2020 (LSQ), equations 1 to 5
struct Lsq {
  static constexpr std::string_view name = "Lsq";
  static constexpr OpTraits traits{
      Role::quantizer, IntegerForm::none,
      KeepsGrid::no,   Homogeneous::no,
      Reads::element,  {.learned = 0b10, .why_not = "its learned step has any size, which is no fixed-point grid"}};
  int bits = 8;  ///< 2..16
  bool is_signed = false;
  Rounding rounding = Rounding::half_up;
  double gradient_scale = 1;
  static constexpr auto fields =
      std::tuple{Field{"bits", &Lsq::bits}, Field{"is_signed", &Lsq::is_signed}, Field{"rounding", &Lsq::rounding},
                 Field{"gradient_scale", &Lsq::gradient_scale}};
};

/// The weights of a layer with the batch norm behind it merged into them. in: w {oc, kh, kw, ic/groups}, gamma, running
/// variance. @math y[o,...] = w[o,...] * gamma[o] / sqrt(variance[o] + epsilon), in double, rounded once
/// The variance gets no gradient.
struct MergedWeights {
  static constexpr std::string_view name = "MergedWeights";
  static constexpr OpTraits traits{Role::parameter, IntegerForm::folded, KeepsGrid::no,
                                   Homogeneous::no, Reads::all,          {.learned = 0b011}};
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &MergedWeights::epsilon}};
};

/// The bias that goes with MergedWeights. in: gamma, beta, running mean, running variance, [b].
/// @math y = gamma / sqrt(variance + epsilon) * (b - mean) + beta   The statistics get no gradient.
struct MergedBias {
  static constexpr std::string_view name = "MergedBias";
  static constexpr OpTraits traits{Role::parameter, IntegerForm::folded, KeepsGrid::no,
                                   Homogeneous::no, Reads::all,          {.learned = 0b10011}};
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &MergedBias::epsilon}};
};

/// FakeQuant of one value with the gradient of another: of a quantized path and the float path beside it.
/// in: x of the float path, z of the quantized path. @math y = z on the grid
/// @grad dx = dout where min_real < x < max_real + step, else 0; dz = 0   @source TI's "ste" [docs/ti.md 2.3]
struct MergedQuant {
  static constexpr std::string_view name = "MergedQuant";
  static constexpr OpTraits traits{Role::quantizer, IntegerForm::frozen, KeepsGrid::no, Homogeneous::no,
                                   Reads::element};
  QuantSpec spec;
  Rounding rounding = Rounding::half_up;
  static constexpr auto fields =
      std::tuple{Field{"spec", &MergedQuant::spec}, Field{"rounding", &MergedQuant::rounding}};
};

/// Mean divergence of a network's softmax from a teacher's, over all pixels. in: logits {n,h,w,classes}, the teacher's
/// logits, [another loss {1,1,1,1} to add to]. Output {1,1,1,1}. The teacher gets no gradient.
/// @math weight * temperature^2 * mean KL(softmax(teacher / temperature) || softmax(logits / temperature)) + loss
/// @source Hinton et al. 2015
struct Distillation {
  static constexpr std::string_view name = "Distillation";
  static constexpr OpTraits traits{Role::loss,      IntegerForm::none, KeepsGrid::no,
                                   Homogeneous::no, Reads::all,        {.why_not = "a loss belongs to training"}};
  double temperature = 1, weight = 1;
  static constexpr auto fields =
      std::tuple{Field{"temperature", &Distillation::temperature}, Field{"weight", &Distillation::weight}};
};

/// Equal in every field.
template <class Op>
requires requires {
  Op::traits;
}
bool operator==(const Op& a, const Op& b) {
  return std::apply([&](const auto&... field) { return ((a.*field.member == b.*field.member) && ...); }, Op::fields);
}

/// Whether O can be made of N values: how many members it has.
struct AnyValue {
  template <class T>
  operator T() const;
};
template <class O, std::size_t N>
concept HasMembers = []<std::size_t... I>(std::index_sequence<I...>) {
  return requires {
    O{(static_cast<void>(I), AnyValue{})...};
  };
}
(std::make_index_sequence<N>());

/// What a type must have to be an op: a name, the list of all its members, and its traits.
template <class Op>
concept IsOp = requires {
  { Op::name } -> std::convertible_to<std::string_view>;
  { Op::traits } -> std::convertible_to<OpTraits>;
  Op::fields;
}
&&HasMembers<Op, std::tuple_size_v<decltype(Op::fields)>> &&
    !HasMembers<Op, std::tuple_size_v<decltype(Op::fields)> + 1> &&
    (Op::traits.keeps_grid != KeepsGrid::by_attributes || requires(const Op& op) { op.keeps_grid(); }) &&
    (Op::traits.is_homogeneous != Homogeneous::by_attributes || requires(const Op& op) { op.is_homogeneous(); }) &&
    (Op::traits.integer != IntegerForm::none || !Op::traits.why_not.empty());

template <IsOp... Ops>
using OneOf = std::variant<Ops...>;

/// The closed set.
using Op = OneOf<Conv2d, ConvTranspose2d, Linear, BatchNorm, LayerNorm, Relu, Clip, LeakyRelu, PRelu, Sigmoid,
                 HardSigmoid, HardSwish, Tanh, Elu, Gelu, Erf, Softplus, Mish, Softmax, Add, Mul, Concat, Slice, Pad,
                 MaxPool, AvgPool, GlobalAvgPool, Resize, Reshape, Dropout, CrossEntropy, FakeQuant, Pact, Tqt, Lsq,
                 Distillation, MergedWeights, MergedBias, MergedQuant>;

/// The functions of the op O; core/ops/<op>.cpp defines and instantiates them. Call those below.
template <class O>
struct Functions {
  static Shape infer(const O& op, std::span<const Shape> in);
  static void forward(const O& op, const Forward<float>& f);
  static void forward(const O& op, const Forward<double>& f);
  static void backward(const O& op, const Backward<float>& b);
  static void backward(const O& op, const Backward<double>& b);
};

/// The shape of the result. @throws DataError with a full sentence on shapes that do not fit
Shape infer(const Op& op, std::span<const Shape> in);
void forward(const Op& op, const Forward<float>& f);
void forward(const Op& op, const Forward<double>& f);
void backward(const Op& op, const Backward<float>& b);
void backward(const Op& op, const Backward<double>& b);

inline std::string_view op_name(const Op& op) {
  return std::visit([](const auto& o) { return std::remove_cvref_t<decltype(o)>::name; }, op);
}
inline const OpTraits& traits_of(const Op& op) {
  return std::visit([](const auto& o) -> const OpTraits& { return std::remove_cvref_t<decltype(o)>::traits; }, op);
}
inline Role role_of(const Op& op) {
  return traits_of(op).role;
}
bool keeps_grid(const Op& op);
bool is_homogeneous(const Op& op);
/// The convolution that a layer is: a Linear is one of 1x1. None for other ops, and for transposed convolutions.
std::optional<Conv2d> as_convolution(const Op& op);
/// A quantizer with parameters that training moves.
bool learns_grid(const Op& op);
/// FakeQuant, the quantizer of networks that are done; null for any other op.
const FakeQuant* fixed_quantizer(const Op& op);
/// The grid of a quantizer whose grid is an attribute; null for any other op.
QuantSpec* attribute_grid(Op& op);
/// The grid of a quantizer, given what it learned; none where there is no fixed-point grid.
std::optional<QuantSpec> quantizer_grid(const Op& op, double learned);
/// How a quantizer rounds; half_up for other ops.
Rounding rounding_of(const Op& op);
/// Sets IntegerBits where the op has some and its result is not on the grid of its input.
void set_integer_bits(Op& op, bool is_wide);
void clear_integer_bits(Op& op);

/// "Conv2d(stride_h=2, groups=32)": the fields that differ from the default.
std::string to_string(const Op& op);

}  // namespace binade
