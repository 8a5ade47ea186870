// The vocabulary: attributes, contract and formula of every operator, on one page.
//
// An op is a plain value. Activations are NHWC, convolution weights OHWI, matrices {out, 1, 1, in}, vectors {1,1,1,c}.
// The first inputs are activations, then parameters in the order given; "[b]" marks an optional last input.
// Every op is a pure function of its inputs, except that BatchNorm updates its running statistics in training mode.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>

#include "core/base/fixed_point.hpp"
#include "core/base/tensor.hpp"

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
  /// Bit i: din[i] counts as zero, whatever it holds; the op writes every element. Only for ops that are TakesFresh.
  std::uint32_t fresh = 0;
  bool is_fresh(std::size_t i) const { return (fresh >> i & 1) != 0; }
};

/// One attribute of an op: the single list that is printed, compared and saved.
template <class Op, class Member>
struct Field {
  std::string_view name;
  Member Op::*member;
};
template <class Op, class Member>
Field(std::string_view, Member Op::*) -> Field<Op, Member>;

// `infer` throws DataError with a full sentence on shapes that do not fit.

/// 2-D convolution (cross-correlation). in: x, w {oc, kh, kw, ic/groups}, [b {1,1,1,oc}].
/// @math y[n,oy,ox,o] = b[o] + sum_{i,j,c} x[n, oy*stride_h - pad_top + i*dilation_h, ..., g*ic/groups + c] *
/// w[o,i,j,c]
struct Conv2d {
  static constexpr std::string_view name = "Conv2d";
  static constexpr bool takes_fresh = true;
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
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Conv2d&, const Conv2d&) = default;
};

/// Transposed convolution. in: x, w {oc, kh, kw, ic/groups} (the same OHWI order), [b].
/// @math output extent = (h - 1) * stride - pad_top - pad_bottom + dilation * (kh - 1) + 1 + output_pad
struct ConvTranspose2d {
  static constexpr std::string_view name = "ConvTranspose2d";
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
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const ConvTranspose2d&, const ConvTranspose2d&) = default;
};

/// Matrix product over the channels of every pixel. in: x {n,h,w,ic}, w {oc,1,1,ic}, [b]. @math y = x w^T + b
struct Linear {
  static constexpr std::string_view name = "Linear";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Linear&, const Linear&) = default;
};

/// in: x, gamma, beta, mean, variance. Statistics over n, h, w.
/// @math y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
/// Training: batch mean and biased variance normalise; running <- (1 - momentum) * running + momentum * batch, the
/// running variance taking the unbiased batch variance (PyTorch's convention). `updated` = {inputs 3, 4}.
/// `frozen`: training, too, normalises by the running statistics and leaves them alone.
struct BatchNorm {
  static constexpr std::string_view name = "BatchNorm";
  static constexpr bool takes_fresh = true;
  double epsilon = 1e-5;
  double momentum = 0.1;
  bool frozen = false;
  static constexpr auto fields =
      std::tuple{Field{"epsilon", &BatchNorm::epsilon}, Field{"momentum", &BatchNorm::momentum},
                 Field{"frozen", &BatchNorm::frozen}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const BatchNorm&, const BatchNorm&) = default;
};

/// in: x, gamma, beta. Statistics over the channels of each pixel.
struct LayerNorm {
  static constexpr std::string_view name = "LayerNorm";
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &LayerNorm::epsilon}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const LayerNorm&, const LayerNorm&) = default;
};

/// @math max(x, 0)   @grad 1 for x > 0, else 0
struct Relu {
  static constexpr std::string_view name = "Relu";
  static constexpr bool takes_fresh = true;
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Relu&, const Relu&) = default;
};

/// @math min(max(x, lo), hi); ReLU6 is Clip{0, 6}   @grad 1 for lo < x < hi, else 0
struct Clip {
  static constexpr std::string_view name = "Clip";
  static constexpr bool takes_fresh = true;
  double lo = 0, hi = 6;
  static constexpr auto fields = std::tuple{Field{"lo", &Clip::lo}, Field{"hi", &Clip::hi}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Clip&, const Clip&) = default;
};

/// @math x >= 0 ? x : slope * x; with slope_bits b > 0, the slope is rounded to the grid spec_for_clip(|slope|, b,
/// true)
struct LeakyRelu {
  static constexpr std::string_view name = "LeakyRelu";
  double slope = 0.01;
  int slope_bits = 0;  ///< 0: real
  static constexpr auto fields =
      std::tuple{Field{"slope", &LeakyRelu::slope}, Field{"slope_bits", &LeakyRelu::slope_bits}};
  /// The grid of the rounded slope, for slope_bits > 0.
  QuantSpec slope_spec() const;
  double effective_slope() const;
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const LeakyRelu&, const LeakyRelu&) = default;
};

/// in: x, slope {1,1,1,c} or {1,1,1,1}. @math x >= 0 ? x : slope[c] * x
struct PRelu {
  static constexpr std::string_view name = "PRelu";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const PRelu&, const PRelu&) = default;
};

/// @math 1 / (1 + exp(-x))
struct Sigmoid {
  static constexpr std::string_view name = "Sigmoid";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Sigmoid&, const Sigmoid&) = default;
};

/// @math clip(alpha * x + beta, 0, 1); PyTorch's hard sigmoid is alpha = 1/6, beta = 1/2
struct HardSigmoid {
  static constexpr std::string_view name = "HardSigmoid";
  double alpha = 1.0 / 6, beta = 0.5;
  static constexpr auto fields = std::tuple{Field{"alpha", &HardSigmoid::alpha}, Field{"beta", &HardSigmoid::beta}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const HardSigmoid&, const HardSigmoid&) = default;
};

/// @math x * clip(x + 3, 0, 6) / 6
struct HardSwish {
  static constexpr std::string_view name = "HardSwish";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const HardSwish&, const HardSwish&) = default;
};

/// Softmax over the channels of each pixel.
/// @math e = exp(x - max x), y = e / sum e; with exponential_bits b > 0, e is rounded to multiples of 2^-b, ties up, as
/// an integer table has it
struct Softmax {
  static constexpr std::string_view name = "Softmax";
  int exponential_bits = 0;  ///< 0: real
  static constexpr auto fields = std::tuple{Field{"exponential_bits", &Softmax::exponential_bits}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Softmax&, const Softmax&) = default;
};

/// in: a, b. Extents equal, or 1 in either operand (broadcast; the batch too, when the operand is a parameter).
struct Add {
  static constexpr std::string_view name = "Add";
  static constexpr bool takes_fresh = true;
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Add&, const Add&) = default;
};

/// in: a, b. Broadcast as Add.
struct Mul {
  static constexpr std::string_view name = "Mul";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Mul&, const Mul&) = default;
};

/// in: two or more tensors of equal n, h, w; joins their channels.
struct Concat {
  static constexpr std::string_view name = "Concat";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Concat&, const Concat&) = default;
};

/// Every `step`-th element of [begin, end) on one axis: 1 = h, 2 = w, 3 = c. Step >= 1.
struct Slice {
  static constexpr std::string_view name = "Slice";
  int axis = 1, begin = 0, end = 1, step = 1;
  static constexpr auto fields = std::tuple{Field{"axis", &Slice::axis}, Field{"begin", &Slice::begin},
                                            Field{"end", &Slice::end}, Field{"step", &Slice::step}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Slice&, const Slice&) = default;
};

/// Pads h, w and channels with a constant. Amounts are >= 0.
struct Pad {
  static constexpr std::string_view name = "Pad";
  int top = 0, left = 0, bottom = 0, right = 0, channels_before = 0, channels_after = 0;
  double value = 0;
  static constexpr auto fields = std::tuple{Field{"top", &Pad::top},
                                            Field{"left", &Pad::left},
                                            Field{"bottom", &Pad::bottom},
                                            Field{"right", &Pad::right},
                                            Field{"channels_before", &Pad::channels_before},
                                            Field{"channels_after", &Pad::channels_after},
                                            Field{"value", &Pad::value}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Pad&, const Pad&) = default;
};

/// Padding never wins. The gradient goes to the first maximum of a window in row order. ceil_mode as in ONNX: a window
/// that would start in the bottom or right padding is dropped.
struct MaxPool {
  static constexpr std::string_view name = "MaxPool";
  int kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool ceil_mode = false;
  static constexpr auto fields =
      std::tuple{Field{"kernel_h", &MaxPool::kernel_h},     Field{"kernel_w", &MaxPool::kernel_w},
                 Field{"stride_h", &MaxPool::stride_h},     Field{"stride_w", &MaxPool::stride_w},
                 Field{"pad_top", &MaxPool::pad_top},       Field{"pad_left", &MaxPool::pad_left},
                 Field{"pad_bottom", &MaxPool::pad_bottom}, Field{"pad_right", &MaxPool::pad_right},
                 Field{"ceil_mode", &MaxPool::ceil_mode}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const MaxPool&, const MaxPool&) = default;
};

/// Mean of a window. count_include_pad: the padding's zeros count in the divisor.
struct AvgPool {
  static constexpr std::string_view name = "AvgPool";
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
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const AvgPool&, const AvgPool&) = default;
};

/// Mean over h and w: {n, 1, 1, c}.
struct GlobalAvgPool {
  static constexpr std::string_view name = "GlobalAvgPool";
  static constexpr auto fields = std::tuple{};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const GlobalAvgPool&, const GlobalAvgPool&) = default;
};

enum class Interpolation : std::uint8_t { nearest, bilinear };
/// Which source coordinate an output pixel o has, for scale = in / out:
/// half_pixel (o + 1/2) * scale - 1/2; align_corners o * (in - 1) / (out - 1); asymmetric o * scale.
enum class Coordinates : std::uint8_t { half_pixel, align_corners, asymmetric };

/// Resizes h and w to fixed extents. Bilinear clamps coordinates at the border. Nearest takes floor(source) for
/// asymmetric coordinates and the nearest pixel, ties down, for the others (ONNX's round_prefer_floor).
struct Resize {
  static constexpr std::string_view name = "Resize";
  int height = 1, width = 1;
  Interpolation interpolation = Interpolation::bilinear;
  Coordinates coordinates = Coordinates::half_pixel;
  int weight_bits = 0;  ///< bilinear weights are multiples of 2^-weight_bits, ties up, as in integers; 0: real
  static constexpr auto fields = std::tuple{
      Field{"height", &Resize::height}, Field{"width", &Resize::width}, Field{"interpolation", &Resize::interpolation},
      Field{"coordinates", &Resize::coordinates}, Field{"weight_bits", &Resize::weight_bits}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Resize&, const Resize&) = default;
};

/// The same elements in the same linear (NHWC) order under other extents; n is kept. h = w = 1 and c = 0 flattens.
struct Reshape {
  static constexpr std::string_view name = "Reshape";
  int h = 1, w = 1, c = 0;  ///< c = 0: what is left
  static constexpr auto fields = std::tuple{Field{"h", &Reshape::h}, Field{"w", &Reshape::w}, Field{"c", &Reshape::c}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Reshape&, const Reshape&) = default;
};

/// Training: each element is zeroed with `probability`, the others scaled by 1 / (1 - probability); the mask is a
/// function of (seed, index) only. Inference: identity.
struct Dropout {
  static constexpr std::string_view name = "Dropout";
  double probability = 0.5;
  static constexpr auto fields = std::tuple{Field{"probability", &Dropout::probability}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Dropout&, const Dropout&) = default;
};

/// Mean cross entropy over the pixels that are not ignored. in: logits {n,h,w,classes}, labels {n,h,w,1} (class index
/// as a number), [weights w of the classes {1,1,1,classes}: the sum is divided by that of the labels' weights]. Output
/// {1,1,1,1}. Label smoothing e: the target is (1 - e) on the label plus e / classes everywhere, and what the target
/// has on a class counts with the weight of that class, not of the label's. Only logits have a gradient. A label that
/// is neither a class nor `ignore_label` is a DataError; with every pixel ignored the loss is 0.
struct CrossEntropy {
  static constexpr std::string_view name = "CrossEntropy";
  int ignore_label = 255;
  double label_smoothing = 0;
  static constexpr auto fields = std::tuple{Field{"ignore_label", &CrossEntropy::ignore_label},
                                            Field{"label_smoothing", &CrossEntropy::label_smoothing}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const CrossEntropy&, const CrossEntropy&) = default;
};

/// x on the grid `spec`: saturate(round(x * 2^frac)) * 2^-frac.
/// @grad straight-through, clipped: dout where the unclamped code min_code - 1/2 < x * 2^frac < max_code + 1/2, else 0;
/// not clipped: dout
struct FakeQuant {
  static constexpr std::string_view name = "FakeQuant";
  static constexpr bool takes_fresh = true;
  QuantSpec spec;
  Rounding rounding = Rounding::half_up;
  bool clipped = true;
  static constexpr auto fields = std::tuple{Field{"spec", &FakeQuant::spec}, Field{"rounding", &FakeQuant::rounding},
                                            Field{"clipped", &FakeQuant::clipped}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const FakeQuant&, const FakeQuant&) = default;
};

/// Quantizer with a learned clip. in: x, alpha {1,1,1,1}. The grid is spec_for_clip(alpha, bits, is_signed); x is cut
/// at a limit c before it is rounded: at alpha itself (Choi), or at the end of the grid, the power of two at or above
/// alpha
/// (`at_grid_end`, TI).
/// @math y = q(min(max(x, lo), c)), lo = 0 or -c
/// @grad dx = dout inside (lo, c) (everywhere if not clipped); dalpha = sum of dout at x >= c minus, when signed, the
/// sum of dout at x <= -c
/// @source Choi et al. 2018, PACT, with the scale rounded up to a power of two; TI's PACT2 [ti-semantics 2.3]
struct Pact {
  static constexpr std::string_view name = "Pact";
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
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Pact&, const Pact&) = default;
};

/// Quantizer with a learned threshold 2^l. in: x, l {1,1,1,1}. The grid's range is 2^k, k = ceil(l); `held`: k =
/// exponent, whatever l is.
/// @math y = s * clamp(round(x / s), n, p), s = 2^k / 2^(bits - 1) signed, 2^k / 2^bits unsigned; n, p the end codes
/// @grad with r = round(x / s): dx = dout where n <= r <= p, else 0; dl = sum of dout * s * ln 2 * (r - x / s where
/// n <= r <= p, n where r < n, p where r > p)   @source Jain et al. 2019 (TQT), equations 7 and 8
struct Tqt {
  static constexpr std::string_view name = "Tqt";
  int bits = 8;  ///< 2..16
  bool is_signed = false;
  Rounding rounding = Rounding::half_up;
  bool held = false;
  int exponent = 0;
  static constexpr auto fields =
      std::tuple{Field{"bits", &Tqt::bits}, Field{"is_signed", &Tqt::is_signed}, Field{"rounding", &Tqt::rounding},
                 Field{"held", &Tqt::held}, Field{"exponent", &Tqt::exponent}};
  Shape infer(std::span<const Shape> in) const;
  /// The grid under a threshold. @throws DataError unless the range is between 2^-100 and 2^99
  QuantSpec spec(double log2_threshold) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Tqt&, const Tqt&) = default;
};

/// Quantizer with a learned step of any size: not a fixed-point grid, but what those are compared with.
/// in: x, step {1,1,1,1} > 0.
/// @math y = step * round(clamp(x / step, n, p)), n, p the end codes of `bits` bits
/// @grad dx = dout where n < x / step < p, else 0; dstep = gradient_scale * sum of dout * (round(x / step) - x / step
/// where n < x / step < p, n below, p above); the authors' gradient_scale is 1 / sqrt(elements * p)
/// @source Esser et al. 2020 (LSQ), equations 1 to 5
struct Lsq {
  static constexpr std::string_view name = "Lsq";
  int bits = 8;  ///< 2..16
  bool is_signed = false;
  Rounding rounding = Rounding::half_up;
  double gradient_scale = 1;
  static constexpr auto fields =
      std::tuple{Field{"bits", &Lsq::bits}, Field{"is_signed", &Lsq::is_signed}, Field{"rounding", &Lsq::rounding},
                 Field{"gradient_scale", &Lsq::gradient_scale}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Lsq&, const Lsq&) = default;
};

/// The weights of a layer with the batch norm behind it merged into them. in: w {oc, kh, kw, ic/groups}, gamma, running
/// variance. @math y[o,...] = w[o,...] * gamma[o] / sqrt(variance[o] + epsilon), in double, rounded once
/// The variance gets no gradient.
struct MergedWeights {
  static constexpr std::string_view name = "MergedWeights";
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &MergedWeights::epsilon}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const MergedWeights&, const MergedWeights&) = default;
};

/// The bias that goes with MergedWeights. in: gamma, beta, running mean, running variance, [b].
/// @math y = gamma / sqrt(variance + epsilon) * (b - mean) + beta   The statistics get no gradient.
struct MergedBias {
  static constexpr std::string_view name = "MergedBias";
  double epsilon = 1e-5;
  static constexpr auto fields = std::tuple{Field{"epsilon", &MergedBias::epsilon}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const MergedBias&, const MergedBias&) = default;
};

/// FakeQuant of one value with the gradient of another: of a quantized path and the float path beside it.
/// in: x of the float path, z of the quantized path. @math y = z on the grid
/// @grad dx = dout where min_real < x < max_real + step, else 0; dz = 0   @source TI's "ste" [ti-semantics 2.3]
struct MergedQuant {
  static constexpr std::string_view name = "MergedQuant";
  QuantSpec spec;
  Rounding rounding = Rounding::half_up;
  static constexpr auto fields =
      std::tuple{Field{"spec", &MergedQuant::spec}, Field{"rounding", &MergedQuant::rounding}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const MergedQuant&, const MergedQuant&) = default;
};

/// Mean divergence of a network's softmax from a teacher's, over all pixels. in: logits {n,h,w,classes}, the teacher's
/// logits, [another loss {1,1,1,1} to add to]. Output {1,1,1,1}. The teacher gets no gradient.
/// @math weight * temperature^2 * mean KL(softmax(teacher / temperature) || softmax(logits / temperature)) + loss
/// @source Hinton et al. 2015
struct Distillation {
  static constexpr std::string_view name = "Distillation";
  double temperature = 1, weight = 1;
  static constexpr auto fields =
      std::tuple{Field{"temperature", &Distillation::temperature}, Field{"weight", &Distillation::weight}};
  Shape infer(std::span<const Shape> in) const;
  template <class T>
  void forward(const Forward<T>& f) const;
  template <class T>
  void backward(const Backward<T>& b) const;
  friend bool operator==(const Distillation&, const Distillation&) = default;
};

/// What a type must have to be an op.
template <class Op>
concept IsOp = requires(const Op& op, std::span<const Shape> shapes, const Forward<float>& forward,
                        const Forward<double>& forward64, const Backward<float>& backward,
                        const Backward<double>& backward64) {
  { Op::name } -> std::convertible_to<std::string_view>;
  Op::fields;
  { op.infer(shapes) } -> std::same_as<Shape>;
  op.template forward<float>(forward);
  op.template forward<double>(forward64);
  op.template backward<float>(backward);
  op.template backward<double>(backward64);
  { op == op } -> std::same_as<bool>;
};

/// An op whose backward heeds Backward::fresh: nobody has to clear the gradients that it is the first to add to.
template <class Op>
concept TakesFresh = requires {
  Op::takes_fresh;
};

template <IsOp... Ops>
using OneOf = std::variant<Ops...>;

/// The closed set.
using Op =
    OneOf<Conv2d, ConvTranspose2d, Linear, BatchNorm, LayerNorm, Relu, Clip, LeakyRelu, PRelu, Sigmoid, HardSigmoid,
          HardSwish, Softmax, Add, Mul, Concat, Slice, Pad, MaxPool, AvgPool, GlobalAvgPool, Resize, Reshape, Dropout,
          CrossEntropy, FakeQuant, Pact, Tqt, Lsq, Distillation, MergedWeights, MergedBias, MergedQuant>;

inline std::string_view op_name(const Op& op) {
  return std::visit([](const auto& o) { return std::remove_cvref_t<decltype(o)>::name; }, op);
}

/// "Conv2d(stride_h=2, groups=32)": the fields that differ from the default.
std::string to_string(const Op& op);

}  // namespace binade
