// Building the noise model: sites, statistics, groups and the cost of each site.
#include "calibration/noise_model.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "calibration/estimators/estimators.hpp"
#include "core/base/fixed_point.hpp"
#include "core/ops/clamp.hpp"
#include "core/passes/layers.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

constexpr int kMostBits = 16;

}  // namespace

NoiseModel::NoiseModel(const Graph& graph, ImageSource& images, const NoiseModelOptions& options,
                       const Sensitivity& sensitivity)
    : graph_(graph), options_(options), scales_(graph), factors_(static_cast<std::size_t>(scales_.count()), 1.0) {
  const Widths widths(graph, options.weight_bits, options.activation_bits, options.layer_bits);
  build_weight_sites(widths);
  build_activation_sites(widths);
  measure(images, sensitivity);
  build_groups();
  choose_first_exponents(options.may_rescale);
}

/// From `headroom` at 8 bits or fewer to `fine_headroom` where grids are fine: the more bits, the less a wide range
/// costs beside an image that exceeds it.
double NoiseModel::headroom_for(int bits) const {
  const double part = std::clamp((bits - 8) / static_cast<double>(kFineBits - 8), 0.0, 1.0);
  return options_.headroom + part * (options_.fine_headroom - options_.headroom);
}

double ActivationSite::cost(int c, int at_exponent, double s) const {
  const double room = saturates(c) ? 1 : headroom;
  return energy[static_cast<std::size_t>(c)] * noise.error(c, std::ldexp(1.0, at_exponent) / (s * room), levels / room);
}

bool ActivationSite::saturates(int c) const {
  return clip != nullptr && noise.max(c) * headroom >= std::get<Clip>(clip->op).hi * 0.999;
}

void NoiseModel::build_weight_sites(const Widths& widths) {
  for (const Node& node : graph_.nodes()) {
    if (!is_weighted(node) || !graph_.is_parameter(node.in[kWeights])) continue;
    const Tensor<float>& w = graph_.tensor(node.in[kWeights]);
    WeightSite site{.node = &node, .bits = widths(node.in[kWeights]), .rows = w.shape().n, .columns = w.shape().c};
    site.taps = static_cast<double>(w.shape().h) * w.shape().w;
    site.magnitude.assign(static_cast<std::size_t>(site.rows) * static_cast<std::size_t>(site.columns), 0.0);
    const std::int64_t taps = std::int64_t{w.shape().h} * w.shape().w;
    for (std::int64_t i = 0; i < w.count(); ++i) {
      const std::int64_t row = i / (taps * site.columns), column = i % site.columns;
      double& magnitude = site.magnitude[static_cast<std::size_t>(row * site.columns + column)];
      magnitude = std::max(magnitude, std::abs(static_cast<double>(w[i])));
    }
    weights_.push_back(std::move(site));
  }
}

void NoiseModel::build_activation_sites(const Widths& widths) {
  for (const ValueId id : quantized_values(graph_)) {
    ActivationSite site{.value = id, .bits = widths(id)};
    const Node* producer = graph_.producer(id);
    if (producer != nullptr && is_capped(producer->op)) site.clip = producer;
    activations_.push_back(std::move(site));
  }
}

void NoiseModel::measure(ImageSource& images, const Sensitivity& sensitivity) {
  std::vector<ValueId> values;
  for (const ActivationSite& site : activations_) values.push_back(site.value);
  for (const WeightSite& site : weights_) values.push_back(site.node->in[kInput]);
  const std::vector<ChannelNoise> noise = collect_noise(graph_, images, values, options_.images, options_.batch);
  NoiseTables seen;
  for (std::size_t i = 0; i < values.size(); ++i) seen[values[i]] = &noise[i];
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    values[activations_.size() + i] = weights_[i].node->out;
    const ChannelNoise& input = noise[activations_.size() + i];
    for (int c = 0; c < input.channels(); ++c) weights_[i].variance.push_back(input.variance(c));
  }
  const auto energies = sensitivity(values, seen);
  for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i].energy = energies[activations_.size() + i];
  // Beside coarse weights, fine activations count as a bit coarser than they are: without any noise there, nothing
  // would keep factors from running after the weights' alone, which the model knows less well.
  int coarsest = kMostBits;
  for (const WeightSite& site : weights_) coarsest = std::min(coarsest, site.bits);
  for (std::size_t i = 0; i < activations_.size(); ++i) {
    ActivationSite& site = activations_[i];
    site.energy = energies[i];
    site.is_signed = noise[i].is_signed();
    site.modelled_bits = std::min(site.bits, std::max(8, coarsest + 2));
    site.levels = std::ldexp(1.0, site.modelled_bits - (site.is_signed ? 1 : 0));
    site.noise = noise[i];
    site.headroom = headroom_for(site.modelled_bits);
  }
}

void NoiseModel::build_groups() {
  // Scales that meet in one value belong together.
  std::vector<int> parent(static_cast<std::size_t>(scales_.count()));
  std::iota(parent.begin(), parent.end(), 0);
  const auto root = [&](int x) {
    while (parent[static_cast<std::size_t>(x)] != x) x = parent[static_cast<std::size_t>(x)];
    return x;
  };
  std::vector<bool> touches_fixed(parent.size(), false);
  for (std::size_t v = 0; v < graph_.values().size(); ++v) {
    int first = ChannelScales::kFixed;
    bool has_fixed = false;
    for (const int scale : scales_.of(static_cast<ValueId>(v))) {
      if (scale == ChannelScales::kFixed) has_fixed = true;
      if (scale == ChannelScales::kFixed) continue;
      if (first == ChannelScales::kFixed) first = scale;
      const int a = root(first), b = root(scale);
      parent[static_cast<std::size_t>(std::max(a, b))] = std::min(a, b);
    }
    if (has_fixed && first != ChannelScales::kFixed) touches_fixed[static_cast<std::size_t>(first)] = true;
  }
  std::map<int, std::size_t> group_of_root;
  std::vector<std::size_t> group_of(parent.size());
  for (int scale = 0; scale < scales_.count(); ++scale) {
    const auto [it, fresh] = group_of_root.emplace(root(scale), groups_.size());
    if (fresh) groups_.emplace_back();
    groups_[it->second].scales.push_back(scale);
    group_of[static_cast<std::size_t>(scale)] = it->second;
    if (touches_fixed[static_cast<std::size_t>(scale)]) groups_[it->second].movable = false;
  }
  const auto group = [&](ValueId id) -> ChannelGroup* {
    const int scale = scales_.of(id, 0);
    return scale == ChannelScales::kFixed ? nullptr : &groups_[group_of[static_cast<std::size_t>(scale)]];
  };
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (ChannelGroup* g = group(weights_[i].node->out)) g->producers.push_back(static_cast<int>(i));
    if (ChannelGroup* g = group(weights_[i].node->in[kInput])) g->consumers.push_back(static_cast<int>(i));
  }
  for (std::size_t i = 0; i < activations_.size(); ++i) {
    if (ChannelGroup* g = group(activations_[i].value)) g->activations.push_back(static_cast<int>(i));
  }
  // A Clip whose result has no grid of its own would lose its limit.
  for (const Node& node : graph_.nodes()) {
    if (!is_capped(node.op)) continue;
    const bool has_site = std::any_of(activations_.begin(), activations_.end(),
                                      [&](const ActivationSite& site) { return site.value == node.out; });
    if (ChannelGroup* g = group(node.out); g != nullptr && !has_site) g->movable = false;
  }
}

/// With `move_limits`, the limit of a Clip becomes the end of its grid, by the factor of its channels.
void NoiseModel::choose_first_exponents(bool move_limits) {
  for (ActivationSite& site : activations_) {
    double largest = 0;
    for (int c = 0; c < site.noise.channels(); ++c) largest = std::max(largest, site.noise.max(c));
    const double room = site.modelled_bits > 8 ? site.headroom : 1;
    const int top = ceil_log2(std::max(largest * room, kMinClip));
    double best = INFINITY;
    for (int exponent = top; exponent > top - 4; --exponent) {
      double sum = 0;
      for (int c = 0; c < site.noise.channels(); ++c) sum += site.cost(c, exponent, 1);
      if (sum < best) {
        best = sum;
        site.exponent = exponent;
      }
    }
    const int scale = scales_.of(site.value, 0);
    if (!move_limits || site.clip == nullptr || scale == ChannelScales::kFixed) continue;
    const double ratio = std::ldexp(1.0, site.exponent) / std::get<Clip>(site.clip->op).hi;
    for (const int member : scales_.of(site.value)) {
      if (member >= 0) factors_[static_cast<std::size_t>(member)] = std::max(1.0, ratio);
    }
  }
  for (WeightSite& site : weights_) {
    double largest = kMinClip;
    for (int row = 0; row < site.rows; ++row) {
      for (int column = 0; column < site.columns; ++column) {
        const int in = scales_.of(site.node->in[kInput], input_channel(graph_, *site.node, row, column));
        const double ratio = factor(scales_.of(site.node->out, row)) / factor(in);
        largest = std::max(largest, site.magnitude[static_cast<std::size_t>(row * site.columns + column)] * ratio);
      }
    }
    site.exponent = ceil_log2(largest);
  }
}

double NoiseModel::weight_step2(const WeightSite& site, int exponent) const {
  const double step = std::ldexp(1.0, exponent - site.bits + 1);
  return options_.weight_share * step * step / 12;
}

double NoiseModel::cost(const WeightSite& site) const {
  double sum = 0;
  for (int row = 0; row < site.rows; ++row) {
    const double s_out = factor(scales_.of(site.node->out, row));
    double input = 0;
    for (int column = 0; column < site.columns; ++column) {
      const int channel = input_channel(graph_, *site.node, row, column);
      const double s_in = factor(scales_.of(site.node->in[kInput], channel));
      input += s_in * s_in * site.variance[static_cast<std::size_t>(channel)];
    }
    sum += site.energy[static_cast<std::size_t>(row)] / (s_out * s_out) * site.taps * input;
  }
  return weight_step2(site, site.exponent) * sum;
}

double NoiseModel::cost(const ActivationSite& site) const {
  double sum = 0;
  for (int c = 0; c < site.noise.channels(); ++c) sum += site.cost(c, site.exponent, factor(scales_.of(site.value, c)));
  return sum;
}

bool NoiseModel::all_fine() const {
  const auto is_fine = [](const auto& site) { return site.bits > kFineBits; };
  return std::all_of(weights_.begin(), weights_.end(), is_fine) &&
         std::all_of(activations_.begin(), activations_.end(), is_fine);
}

double NoiseModel::output_energy() const {
  double energy = 0;
  for (const ActivationSite& site : activations_) {
    if (site.value != graph_.output()) continue;
    for (int c = 0; c < site.noise.channels(); ++c) {  // on a grid that cuts everything, the error is the value
      energy += static_cast<double>(graph_.shape(site.value).pixels()) * site.noise.error(c, kMinClip, 1);
    }
  }
  return energy;
}

NoiseModel::Rescaling NoiseModel::rescale() {
  Rescaling result{.before = total()};
  double unscaled = result.before.sum();
  if (all_fine()) {  // held against the exponents that a network without factors would have
    choose_first_exponents(false);
    unscaled = total().sum();
    choose_first_exponents(true);
  }
  result.sweeps = improve();
  result.after = total();
  // The model overestimates the noise of fine grids without factors: it predicts 32 to 39 dB where 55 and more are
  // measured, and 22 to 28 for networks whose channels differ by 2^7, which do lose.
  constexpr double kClearGain = 10, kFineNoise = 1e-3;
  result.kept = !all_fine() || (result.after.sum() * kClearGain < unscaled && unscaled > kFineNoise * output_energy());
  if (!result.kept) {
    std::fill(factors_.begin(), factors_.end(), 1.0);
    choose_first_exponents(false);
  }
  return result;
}

NoiseModel::Total NoiseModel::total() const {
  Total total;
  for (const WeightSite& site : weights_) total.weights += cost(site);
  for (const ActivationSite& site : activations_) total.activations += cost(site);
  return total;
}

std::vector<double> NoiseModel::clip_limits() const {
  std::vector<double> limits(graph_.nodes().size(), 0.0);
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const Op& op = graph_.nodes()[i].op;
    if (is_capped(op)) limits[i] = limits_of<double>(&op).hi;
  }
  for (const ActivationSite& site : activations_) {
    if (site.clip == nullptr || scales_.of(site.value, 0) == ChannelScales::kFixed) continue;
    const double hi = std::get<Clip>(site.clip->op).hi;
    double lowest = INFINITY;  // no channel may be cut below its own limit while it could still reach it
    for (int c = 0; c < site.noise.channels(); ++c) {
      if (site.saturates(c)) lowest = std::min(lowest, factor(scales_.of(site.value, c)) * hi);
    }
    const double end = std::ldexp(1.0, site.exponent);
    limits[static_cast<std::size_t>(graph_.value(site.value).node)] = std::isinf(lowest) ? end : std::max(end, lowest);
  }
  return limits;
}

}  // namespace binade
