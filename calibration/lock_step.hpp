// A float network and its quantized twin, run layer by layer on the same batch; biases follow what they see.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "calibration/channel_means.hpp"
#include "calibration/running_range.hpp"
#include "core/base/memory.hpp"
#include "core/execute/executor.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {

struct LockStepOptions {
  QuantizerOptions quantizers;
  int batch = 16;              ///< most images of a step
  bool running_ranges = true;  ///< grids of activations follow the quantized network's running ranges; else they stay
  double percentile = RunningRange::kPercent;  ///< percent cut at each tail by a running range
  std::uint64_t seed = 0;
};

/// How far a step went: changes of biases over the float deviation of the layer's channels, both as root mean squares.
struct Movement {
  double largest = 0;  ///< of all layers
  std::string layer;   ///< that one
};

/// Within a step the quantized network is corrected front to back: a layer is measured after the layers before it
/// have been corrected on the same images. @source TI's QuantCalibrateModule [docs/ti.md 4]
class LockStep {
 public:
  /// `reference`, the float network to follow, has no batch norm; `start` are the same layers, perhaps with other
  /// weights: it goes on the grids `specs`, by value name, whose widths stay.
  LockStep(const Graph& reference, const Graph& start, const SpecMap& specs, const LockStepOptions& options);

  /// One batch; image 0 of it has the position `first` in the calibration set. For every layer with a bias and every
  /// channel: b += factor * (mean of the float output - mean of the quantized output), and if `weight_factor` is not 0,
  /// w *= (float deviation / quantized deviation)^weight_factor.
  Movement step(View<const float> images, int first, double factor, double weight_factor);

  /// The quantized network as of now.
  Graph quantized() const;
  int layers() const { return static_cast<int>(layers_.size()); }

 private:
  struct Layer {
    int node = 0;
    ValueId bias{};
    ValueId activation{};       ///< the activation function's result where the quantizer follows that; else {-1}
    ChannelMeans wanted;        ///< of the float network, by position of the image
    Tensor<float> deployed;     ///< its bias, as the current step runs it
    std::uint64_t version = 1;  ///< of the weights
  };
  void plan();
  void measure_reference(View<const float> images, int first);
  void run_node(const Node& node, std::uint64_t version);
  void run_layer(Layer& layer, int first, double factor, double weight_factor, Movement& moved);
  void correct_weights(Layer& layer, const Moments& wanted, const Moments& got, double factor);
  void observe(const Layer& layer);
  void observe(ValueId value, View<const float> seen);
  Tensor<float> deployed_bias(const Layer& layer) const;
  View<const float> view(ValueId id) const;
  View<float> writable(ValueId id);

  LockStepOptions options_;
  Graph graph_;  // quantized; its parameters are the float ones, biases as corrected
  Executor<float> reference_;
  std::vector<Layer> layers_;
  std::vector<int> layer_of_;             // by node of graph_; -1: none
  std::vector<bool> is_constant_;         // by value of graph_
  std::vector<Tensor<float>> constants_;  // by value; results that depend on parameters only
  std::vector<OpState> states_;
  std::vector<std::size_t> offsets_;  // by value, in elements
  Block<float> arena_;
  Tensor<float> raw_, activated_;  // for ranges
  View<const float> input_;
  int images_ = 0;  // of the current step
  std::uint64_t steps_ = 0;
  std::map<std::string, RunningRange, std::less<>> ranges_;
  std::vector<bool> observed_;  // by value, in the current step
};

}  // namespace binade
