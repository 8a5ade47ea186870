// Random networks, node by node, and min-max quantization without any of the product's choices.
#include "tests/harness/quantized_network.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "core/execute/executor.hpp"
#include "core/passes/quantizers.hpp"
#include "tests/harness/check_op.hpp"

namespace binade::harness {
namespace {

class NetworkMaker {
 public:
  explicit NetworkMaker(Random& random) : random_(random) {
    values_.push_back(graph_.input("x", {1, pick(1, 12), pick(1, 12), pick(1, 9)}));
  }

  Graph make(int nodes) {
    for (int i = 0; i < nodes; ++i) add_any();
    graph_.set_output(values_.back());
    return without_dead_nodes(graph_);
  }

 private:
  int pick(int lo, int hi) { return between(random_, lo, hi); }
  bool coin() { return random_.below(2) == 0; }
  std::string fresh() { return "n" + std::to_string(count_++); }
  ValueId parameter(Shape shape, double lo, double hi) {
    Tensor<float> tensor(shape);
    for (float& v : tensor.span()) v = static_cast<float>(random_.uniform(lo, hi));
    return graph_.parameter(fresh(), std::move(tensor));
  }
  void push(Op op, std::vector<ValueId> in) { values_.push_back(graph_.add(fresh(), std::move(op), std::move(in))); }

  void add_conv(ValueId x, const Shape& s, bool transposed) {
    const int kh = pick(1, std::min(3, s.h)), kw = pick(1, std::min(3, s.w));
    const int groups = coin() ? 1 : (coin() ? s.c : (s.c % 2 == 0 ? 2 : 1));
    const int oc = groups * pick(1, std::max(1, 8 / groups));
    std::vector<ValueId> in{x, parameter({oc, kh, kw, s.c / groups}, -1, 1)};
    if (coin()) in.push_back(parameter({1, 1, 1, oc}, -1, 1));
    if (transposed) {
      ConvTranspose2d op{.stride_h = pick(1, 2), .stride_w = pick(1, 3), .groups = groups};
      op.pad_top = pick(0, kh - 1), op.pad_left = pick(0, kw - 1);
      op.output_pad_h = pick(0, op.stride_h - 1);
      return push(op, std::move(in));
    }
    Conv2d op{.stride_h = pick(1, 2), .stride_w = pick(1, 2), .groups = groups};
    op.pad_top = pick(0, kh - 1), op.pad_left = pick(0, kw - 1), op.pad_bottom = pick(0, kh - 1);
    op.pad_right = pick(0, kw - 1);
    if (s.h >= 2 * kh && s.w >= 2 * kw && coin()) op.dilation_h = op.dilation_w = 2;
    push(op, std::move(in));
  }

  void add_pool(ValueId x, const Shape& s) {
    const int kh = pick(1, std::min(3, s.h)), kw = pick(1, std::min(3, s.w));
    const int stride = pick(1, 2), top = pick(0, kh - 1), left = pick(0, kw - 1);
    switch (pick(0, 2)) {
      case 0:
        return push(MaxPool{.kernel_h = kh,
                            .kernel_w = kw,
                            .stride_h = stride,
                            .stride_w = 1,
                            .pad_top = top,
                            .pad_left = left,
                            .ceil_mode = coin()},
                    {x});
      case 1:
        return push(AvgPool{.kernel_h = kh,
                            .kernel_w = kw,
                            .stride_h = stride,
                            .stride_w = 1,
                            .pad_top = top,
                            .pad_left = left,
                            .ceil_mode = coin(),
                            .count_include_pad = coin()},
                    {x});
      default: return push(GlobalAvgPool{}, {x});
    }
  }

  void add_activation(ValueId x, const Shape& s) {
    switch (pick(0, 14)) {
      case 0: return push(Relu{}, {x});
      case 1: return push(Clip{0, 0.75}, {x});
      case 2: return push(Clip{-0.4, 0.9}, {x});
      case 3: return push(LeakyRelu{random_.uniform(-0.3, 1.5)}, {x});
      case 4: return push(PRelu{}, {x, parameter({1, 1, 1, coin() ? s.c : 1}, -0.5, 1.2)});
      case 5: return push(Sigmoid{}, {x});
      case 6: return push(HardSwish{}, {x});
      case 7: return push(HardSigmoid{}, {x});
      case 8: return push(Tanh{}, {x});
      case 9: return push(Elu{.alpha = random_.uniform(0.2, 1.5)}, {x});
      case 10: return push(Gelu{coin() ? GeluForm::none : GeluForm::tanh}, {x});
      case 11: return push(Erf{}, {x});
      case 12: return push(Softplus{}, {x});
      case 13: return push(Mish{}, {x});
      default: return push(Softmax{}, {x});
    }
  }

  void add_layout(ValueId x, const Shape& s) {
    switch (pick(0, 4)) {
      case 0: return push(Slice{.axis = 3, .begin = s.c / 2, .end = s.c, .step = pick(1, 2)}, {x});
      case 1: return push(Pad{.top = pick(0, 1), .right = pick(0, 2), .channels_after = pick(0, 2)}, {x});
      case 2: return push(Pad{.left = pick(0, 2), .channels_before = 1, .value = random_.uniform(-1, 1)}, {x});
      case 3: return push(Reshape{.h = 1, .w = s.h, .c = s.w * s.c}, {x});
      default: return push(Dropout{}, {x});
    }
  }

  void add_resize(ValueId x, const Shape& s) {
    push(Resize{.height = pick(1, 2 * s.h),
                .width = pick(1, 2 * s.w),
                .interpolation = coin() ? Interpolation::nearest : Interpolation::bilinear,
                .coordinates = static_cast<Coordinates>(random_.below(3))},
         {x});
  }

  /// Add, Mul or Concat with an earlier value of the right extents, or with a parameter.
  void add_join(ValueId x, const Shape& s) {
    std::vector<ValueId> same, stackable;
    for (const ValueId id : values_) {
      if (graph_.shape(id) == s) same.push_back(id);
      if (graph_.shape(id).h == s.h && graph_.shape(id).w == s.w && graph_.shape(id).c < 40) stackable.push_back(id);
    }
    const auto any = [&](const std::vector<ValueId>& ids) { return ids[random_.below(ids.size())]; };
    if (coin() && s.c < 40)
      return push(Concat{}, coin() ? std::vector{x, any(stackable), any(stackable)} : std::vector{any(stackable), x});
    const ValueId other = coin() ? any(same) : parameter({1, 1, 1, s.c}, -1, 1);
    coin() ? push(Add{}, {x, other}) : push(Mul{}, {x, other});
  }

  void add_any() {
    const ValueId x = coin() ? values_.back() : values_[random_.below(values_.size())];
    const Shape s = graph_.shape(x);
    if (s.count() > 4000) return;
    switch (pick(0, 8)) {
      case 0:
      case 1: return add_conv(x, s, false);
      case 2: return add_conv(x, s, true);
      case 3: return push(Linear{}, {x, parameter({pick(1, 8), 1, 1, s.c}, -1, 1)});
      case 4: return add_pool(x, s);
      case 5: return add_activation(x, s);
      case 6: return add_layout(x, s);
      case 7: return add_resize(x, s);
      default: return add_join(x, s);
    }
  }

  Random& random_;
  Graph graph_;
  std::vector<ValueId> values_;
  int count_ = 0;
};

}  // namespace

Graph quantize_by_range(const Graph& graph, View<const float> images, Widths widths) {
  struct Range {
    double lo = 0, hi = 0;
  };
  std::map<ValueId, Range> ranges;
  std::mutex mutex;
  Executor<float> executor(graph);
  executor.forward(images, [&](ValueId id, View<const float> value, int) {
    const std::lock_guard lock(mutex);
    Range& range = ranges[id];
    for (std::int64_t i = 0; i < value.count(); ++i) {
      range.lo = std::min(range.lo, static_cast<double>(value.data[i]));
      range.hi = std::max(range.hi, static_cast<double>(value.data[i]));
    }
  });
  SpecMap specs;
  for (const ValueId id : quantized_values(graph)) {
    const Range range = ranges[id];
    const bool is_signed = range.lo < 0;
    specs[graph.name(id)] = spec_for_clip(std::max(-range.lo, range.hi), widths.activations, is_signed);
  }
  for (const ValueId id : quantized_weights(graph)) {
    double largest = 0;
    for (const float w : graph.tensor(id).span()) largest = std::max(largest, std::abs(static_cast<double>(w)));
    specs[graph.name(id)] = spec_for_clip(largest, widths.weights, true);
  }
  return insert_quantizers(graph, specs, {});
}

Graph random_network(Random& random, int nodes) {
  return NetworkMaker(random).make(nodes);
}

Tensor<float> random_images(const Graph& graph, int count, Random& random) {
  Tensor<float> images(graph.shape(graph.inputs().front()).with_batch(count));
  for (float& v : images.span()) v = static_cast<float>(random.uniform(-1, 1.5));
  return images;
}

}  // namespace binade::harness
