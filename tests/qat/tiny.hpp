// A network and a labelled set small enough to train inside a test.
#pragma once

#include "core/base/random.hpp"
#include "core/graph/builder.hpp"
#include "core/model/training_source.hpp"

namespace binade {

/// Every kind of layer that the zoo trains: a stem, an inverted residual with its addition, dropout, a classifier.
inline Graph tiny_network(std::uint64_t seed = 1, double dropout = 0) {
  Builder net(seed);
  ValueId x = net.input("input", {1, 8, 8, 3});
  x = net.batch_norm("stem.1", net.conv("stem.0", x, {.channels = 8, .kernel = 3, .stride = 2}));
  x = net.activation("stem.2", x, Activation::relu6);
  ValueId y = net.batch_norm("block.1", net.conv("block.0", x, {.channels = 16}));
  y = net.activation("block.2", y, Activation::relu);
  y = net.batch_norm("block.4", net.depthwise("block.3", y, 3, 1));
  y = net.activation("block.5", y, Activation::relu6);
  y = net.batch_norm("block.7", net.conv("block.6", y, {.channels = 8}));
  x = net.add("block.add", Add{}, {x, y});
  x = net.dropout("dropout", net.add("pool", GlobalAvgPool{}, {x}), dropout);
  return std::move(net).finish(net.linear("classifier", x, 4));
}

/// Noise with stripes, whose direction or width is the label. Every epoch has new noise.
class StripeSource final : public TrainingSource {
 public:
  explicit StripeSource(int count, std::uint64_t seed = 0) : count_(count), seed_(seed) {}
  int count() const override { return count_; }
  Shape shape() const override { return {1, 8, 8, 3}; }
  void start_epoch(int epoch, int batch, int first_batch) override {
    epoch_ = epoch;
    images_.resize(shape().with_batch(batch));
    labels_.resize({batch, 1, 1, 1});
    position_ = first_batch * batch;
  }
  LabelledBatch next() override {
    for (int i = 0; i < images_.shape().n; ++i, ++position_) {
      Random random(seed_ + static_cast<std::uint64_t>(epoch_) * 1000, static_cast<std::uint64_t>(position_));
      const auto label = static_cast<int>(random.below(4));
      labels_[i] = static_cast<float>(label);
      for (int h = 0; h < 8; ++h) {
        for (int w = 0; w < 8; ++w) {
          const int phase[] = {h, w, h + w, h / 2};
          const bool bright = phase[label] % 2 == 0;
          for (int c = 0; c < 3; ++c) {
            images_[((i * 8 + h) * 8 + w) * 3 + c] = static_cast<float>(random.uniform(-1, 1) + (bright ? 1.0 : 0.0));
          }
        }
      }
    }
    return {images_.view(), labels_.view()};
  }

 private:
  int count_;
  std::uint64_t seed_;
  int epoch_ = 0, position_ = 0;
  Tensor<float> images_, labels_;
};

}  // namespace binade
