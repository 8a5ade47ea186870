// The first-order noise model of a quantized network: what every grid costs at the output, as a function of the factors
// that channels are scaled with and of the exponents of all grids.
//
// Each quantized weight w[o,k] carries an error of variance step^2 / 12; at its output pixel it is multiplied by the
// input x[k], whose mean the bias correction takes care of: what is left is var(x). Each activation carries the error
// of its grid. Both reach the output through the gradient energies that a Sensitivity gives: measured by backward
// passes (ptq), or estimated from the weights alone (propagate_energy). In units of the unscaled network, a channel
// with factor s sees errors divided by s.
// @math J = sum_layers share * step^2/12 * sum_o G_o/s_o^2 * taps * sum_i s_i^2 var_i + sum_tensors sum_c G_c
// err_c(clip/s_c)
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "calibration/channel_noise.hpp"
#include "core/graph/graph.hpp"
#include "core/passes/channel_scales.hpp"
#include "core/passes/widths.hpp"

namespace binade {

/// A weight tensor with a grid [-2^exponent, 2^exponent).
struct WeightSite {
  const Node* node = nullptr;
  int bits = 8, exponent = 0;
  int rows = 0, columns = 0;      ///< output channels; input channels of one group
  double taps = 1;                ///< kernel height x width
  std::vector<double> magnitude;  ///< rows x columns: max over taps of |w|
  std::vector<double> energy;     ///< by row: gradient energy of the output channel
  std::vector<double> variance;   ///< by input channel
};

/// A quantized activation with a grid of clip 2^exponent.
struct ActivationSite {
  ValueId value{};
  int bits = 8, exponent = 0;
  bool is_signed = true;
  std::vector<double> energy;  ///< by channel
  ChannelNoise noise;          ///< of the value
  double headroom = 1;         ///< see NoiseModelOptions; not where a Clip bounds the channel
  int modelled_bits = 8;       ///< that the noise of the site is counted with
  double levels = 128;         ///< codes per clip, of these
  const Node* clip = nullptr;  ///< the Clip that makes the value, if one does

  /// What rounding channel c costs at the output when the channel has the factor s.
  double cost(int c, int at_exponent, double s) const;
  /// The channel reaches the limit of the Clip, or could on other images.
  bool saturates(int c) const;
};

/// Channels that are coupled through shared tensors, and the sites next to them.
struct ChannelGroup {
  std::vector<int> scales;
  std::vector<int> producers, consumers;  ///< weight sites whose rows, columns the group scales
  std::vector<int> activations;
  bool movable = true;
};

/// What was seen of values.
using NoiseTables = std::map<ValueId, const ChannelNoise*>;
/// For each value, per channel: the expected sum over pixels of (d(r . y) / dx)^2, y the output, r random signs.
using Sensitivity = std::function<std::vector<std::vector<double>>(std::span<const ValueId>, const NoiseTables&)>;

struct NoiseModelOptions {
  int weight_bits = 8, activation_bits = 8;
  std::vector<LayerWidth> layer_bits;
  bool may_rescale = true;  ///< false: all factors are 1, for the grids of the network as it is
  int images = 32;          ///< for statistics
  int batch = 8;
  /// Activations are taken for that much larger than seen, where no Clip bounds them: other images will be.
  double headroom = 1.1;
  double fine_headroom = 2;  ///< the same of grids of kFineBits or more; in between where bits are
  /// How much of the rounding error of weights survives rounding with feedback and bias correction.
  double weight_share = 0.3;
};

class NoiseModel {
 public:
  /// Measures the statistics of a float graph without batch norm. The graph must outlive the model.
  NoiseModel(const Graph& graph, ImageSource& images, const NoiseModelOptions& options, const Sensitivity& sensitivity);

  const ChannelScales& scales() const { return scales_; }
  const std::vector<double>& factors() const { return factors_; }
  const std::vector<ChannelGroup>& groups() const { return groups_; }
  const std::vector<WeightSite>& weights() const { return weights_; }
  const std::vector<ActivationSite>& activations() const { return activations_; }

  /// J of all sites. The share of weights in it is `weights`.
  struct Total {
    double weights = 0, activations = 0;
    double sum() const { return weights + activations; }
  };

  /// Improves group by group, sweep by sweep, until the cost stays; returns the number of sweeps.
  int improve();

  struct Rescaling {
    int sweeps = 0;
    Total before{}, after{};
    bool kept = true;  ///< false: all factors are 1
  };
  /// Improves; but where all grids are fine, only if the predicted output is far from fine (30 dB) and the noise falls
  /// tenfold: a rescaled channel has less room for what other images bring, which costs more than fine grids do.
  /// MobileNetV2 with 16 bits: 53.9 dB without rescaling, 43.6 with it.
  Rescaling rescale();
  /// Finds the factors of one group and the exponents next to it that make J least, everything else kept.
  /// Returns whether J fell.
  bool improve(const ChannelGroup& group);

  /// The exponent of a site, up to three lower, at which rounding costs least at the output; `weights` are those of the
  /// site in the network scaled by factors().
  int weight_exponent(const WeightSite& site, const Tensor<float>& weights, Rounding rounding) const;

  Total total() const;
  /// Expected sum of squares of the output of an image, as far as it has a grid.
  double output_energy() const;
  /// Every grid is fine: of more than kFineBits.
  bool all_fine() const;
  double cost(const WeightSite& site) const;
  double cost(const ActivationSite& site) const;

  /// The upper limits of the Clips, by node index, that go with the factors.
  std::vector<double> clip_limits() const;

 private:
  struct Coefficients;
  struct Candidate;
  void build_weight_sites(const Widths& widths);
  void build_activation_sites(const Widths& widths);
  void build_groups();
  void measure(ImageSource& images, const Sensitivity& sensitivity);
  double headroom_for(int bits) const;
  void choose_first_exponents(bool move_limits);
  double factor(int scale) const { return scale < 0 ? 1.0 : factors_[static_cast<std::size_t>(scale)]; }
  double weight_step2(const WeightSite& site, int exponent) const;
  std::vector<Coefficients> coefficients(const ChannelGroup& group) const;
  bool evaluate(const ChannelGroup& group, const std::vector<Coefficients>& coefficients, Candidate& candidate) const;

  const Graph& graph_;
  NoiseModelOptions options_;
  ChannelScales scales_;
  std::vector<double> factors_;
  std::vector<WeightSite> weights_;
  std::vector<ActivationSite> activations_;
  std::vector<ChannelGroup> groups_;
};

}  // namespace binade
