// InceptionV3 [Szegedy et al. 2015] as keras.applications defines it, up to the logits.
#include <string>
#include <vector>

#include "core/graph/builder.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

/// One network under construction; layers are numbered in the order in which they are added, as Keras names them.
class Inception {
 public:
  explicit Inception(const ModelOptions& options) : net_(options.seed, options.random), width_(options.width) {}

  Graph build(const ModelOptions& options) && {
    ValueId x = net_.input("input", options.input);
    x = conv(x, 32, 3, 3, 2, Padding::none);
    x = conv(x, 32, 3, 3, 1, Padding::none);
    x = max_pool("max_pooling2d", conv(x, 64, 3, 3));
    x = conv(conv(x, 80, 1, 1, 1, Padding::none), 192, 3, 3, 1, Padding::none);
    x = max_pool("max_pooling2d_1", x);
    for (const int pooled : {32, 64, 64}) x = small(x, pooled);
    x = first_reduction(x);
    for (const int inner : {128, 160, 160, 192}) x = factored(x, inner);
    x = second_reduction(x);
    for (int i = 0; i < 2; ++i) x = wide(x);
    x = net_.dropout("dropout", net_.add("avg_pool", GlobalAvgPool{}, {x}), options.dropout);
    return std::move(net_).finish(net_.linear("predictions", x, options.classes));
  }

 private:
  /// A convolution of `rows` x `columns`, batch norm without a scale, ReLU.
  ValueId conv(ValueId x, int channels, int rows, int columns, int stride = 1, Padding padding = Padding::same) {
    const std::string suffix = layers_ == 0 ? "" : "_" + std::to_string(layers_);
    ++layers_;
    x = net_.conv("conv2d" + suffix, x,
                  {.channels = scaled_channels(channels, width_),
                   .kernel = rows,
                   .stride = stride,
                   .kernel_w = columns,
                   .padding = padding});
    x = net_.batch_norm("batch_normalization" + suffix, x, {.epsilon = 1e-3, .momentum = 0.01, .scale = false});
    return net_.activation("activation" + suffix, x, Activation::relu);
  }
  ValueId max_pool(const std::string& name, ValueId x) {
    return net_.add(name, MaxPool{.kernel_h = 3, .kernel_w = 3}, {x});
  }
  ValueId average(ValueId x, int channels) {
    const AvgPool pool{.kernel_h = 3,
                       .kernel_w = 3,
                       .stride_h = 1,
                       .stride_w = 1,
                       .pad_top = 1,
                       .pad_left = 1,
                       .pad_bottom = 1,
                       .pad_right = 1};
    return conv(net_.add("average_pooling2d_" + std::to_string(blocks_), pool, {x}), channels, 1, 1);
  }
  ValueId join(std::vector<ValueId> branches) {
    return net_.add("mixed" + std::to_string(blocks_++), Concat{}, std::move(branches));
  }

  // The kinds of blocks, in the order in which they occur.
  ValueId small(ValueId x, int pooled) {
    const ValueId narrow = conv(x, 64, 1, 1);
    const ValueId five = conv(conv(x, 48, 1, 1), 64, 5, 5);
    const ValueId twice = conv(conv(conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3);
    return join({narrow, five, twice, average(x, pooled)});
  }
  ValueId first_reduction(ValueId x) {
    const ValueId three = conv(x, 384, 3, 3, 2, Padding::none);
    const ValueId twice = conv(conv(conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3, 2, Padding::none);
    return join({three, twice, max_pool("max_pooling2d_2", x)});
  }
  ValueId factored(ValueId x, int inner) {
    const ValueId narrow = conv(x, 192, 1, 1);
    const ValueId seven = conv(conv(conv(x, inner, 1, 1), inner, 1, 7), 192, 7, 1);
    ValueId twice = conv(conv(conv(x, inner, 1, 1), inner, 7, 1), inner, 1, 7);
    twice = conv(conv(twice, inner, 7, 1), 192, 1, 7);
    return join({narrow, seven, twice, average(x, 192)});
  }
  ValueId second_reduction(ValueId x) {
    const ValueId three = conv(conv(x, 192, 1, 1), 320, 3, 3, 2, Padding::none);
    const ValueId seven = conv(conv(conv(x, 192, 1, 1), 192, 1, 7), 192, 7, 1);
    return join({three, conv(seven, 192, 3, 3, 2, Padding::none), max_pool("max_pooling2d_3", x)});
  }
  ValueId wide(ValueId x) {
    const auto cross = [&](ValueId from) { return std::vector{conv(from, 384, 1, 3), conv(from, 384, 3, 1)}; };
    const ValueId narrow = conv(x, 320, 1, 1);
    const std::vector<ValueId> three = cross(conv(x, 384, 1, 1));
    const std::vector<ValueId> twice = cross(conv(conv(x, 448, 1, 1), 384, 3, 3));
    return join({narrow, three[0], three[1], twice[0], twice[1], average(x, 192)});
  }

  Builder net_;
  double width_;
  int layers_ = 0, blocks_ = 0;
};

}  // namespace

Graph build_inception_v3(const ModelOptions& options) {
  return Inception(options).build(options);
}

}  // namespace binade
