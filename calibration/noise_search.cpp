// The search of the noise model: one group's factors in closed bounds, for every combination of the exponents around
// it.
#include <algorithm>
#include <cmath>

#include "calibration/estimators/estimators.hpp"
#include "calibration/noise_model.hpp"
#include "core/base/parallel.hpp"
#include "core/passes/layers.hpp"

namespace binade {
namespace {

constexpr double kSteps = 6;    ///< factors tried per octave
constexpr double kOctaves = 3;  ///< how far a factor may move at a time, each way

/// All exponents move by -1, 0, 1 while there are few; of many, one at a time or all of a kind together.
std::vector<std::vector<int>> moves(std::size_t producers, std::size_t consumers, std::size_t activations) {
  const std::size_t count = producers + consumers + activations;
  std::vector<std::vector<int>> all{std::vector<int>(count, 0)};
  if (count <= 3) {
    const int total = count == 0 ? 1 : static_cast<int>(std::pow(3, count));
    for (int code = 0; code < total; ++code) {
      std::vector<int> move(count);
      for (std::size_t i = 0, rest = static_cast<std::size_t>(code); i < count; ++i, rest /= 3) {
        move[i] = static_cast<int>(rest % 3) - 1;
      }
      all.push_back(move);
    }
    return all;
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (const int step : {-1, 1}) {
      std::vector<int> move(count, 0);
      move[i] = step;
      all.push_back(move);
    }
  }
  for (int code = 0; code < 27; ++code) {
    std::vector<int> move(count);
    for (std::size_t i = 0; i < count; ++i) {
      const int kind = i < producers ? 0 : (i < producers + consumers ? 1 : 2);
      move[i] = (kind == 0 ? code % 3 : (kind == 1 ? code / 3 % 3 : code / 9)) - 1;
    }
    all.push_back(move);
  }
  return all;
}

}  // namespace

/// What one scale contributes: a / s^2 + b s^2 + activation errors, with bounds on s; all by site, exponent free.
struct NoiseModel::Coefficients {
  struct Row {
    int site;
    double noise, bound;  // noise * step2 / s^2; s * bound <= 2^exponent
  };
  struct Column {
    int site;
    double noise, bound;  // noise * step2 * s^2; bound / s <= 2^exponent
  };
  struct Activation {
    int site, channel;
  };
  std::vector<Row> rows;
  std::vector<Column> columns;
  std::vector<Activation> activations;
};

/// Exponents of the sites around a group, and the factors that are best for them.
struct NoiseModel::Candidate {
  std::vector<int> producers, consumers, activations;  // in the order of the group's lists
  std::vector<double> factors;
  double cost = 0;
};

std::vector<NoiseModel::Coefficients> NoiseModel::coefficients(const ChannelGroup& group) const {
  std::vector<int> position(factors_.size(), -1);
  for (std::size_t i = 0; i < group.scales.size(); ++i)
    position[static_cast<std::size_t>(group.scales[i])] = static_cast<int>(i);
  std::vector<Coefficients> all(group.scales.size());
  const auto of = [&](int scale) -> Coefficients& {
    return all[static_cast<std::size_t>(position[static_cast<std::size_t>(scale)])];
  };
  for (std::size_t p = 0; p < group.producers.size(); ++p) {
    const WeightSite& site = weights_[static_cast<std::size_t>(group.producers[p])];
    for (int row = 0; row < site.rows; ++row) {
      double input = 0, bound = 0;
      for (int column = 0; column < site.columns; ++column) {
        const int channel = input_channel(graph_, *site.node, row, column);
        const double s = factor(scales_.of(site.node->in[kInput], channel));
        input += s * s * site.variance[static_cast<std::size_t>(channel)];
        bound = std::max(bound, site.magnitude[static_cast<std::size_t>(row * site.columns + column)] / s);
      }
      of(scales_.of(site.node->out, row))
          .rows.push_back({static_cast<int>(p), site.energy[static_cast<std::size_t>(row)] * site.taps * input, bound});
    }
  }
  for (std::size_t q = 0; q < group.consumers.size(); ++q) {
    const WeightSite& site = weights_[static_cast<std::size_t>(group.consumers[q])];
    const auto channels = static_cast<std::size_t>(graph_.shape(site.node->in[kInput]).c);
    std::vector<double> output(channels, 0.0), bound(channels, 0.0);
    for (int row = 0; row < site.rows; ++row) {
      const double s = factor(scales_.of(site.node->out, row));
      for (int column = 0; column < site.columns; ++column) {
        const auto channel = static_cast<std::size_t>(input_channel(graph_, *site.node, row, column));
        output[channel] += site.energy[static_cast<std::size_t>(row)] / (s * s);
        bound[channel] =
            std::max(bound[channel], site.magnitude[static_cast<std::size_t>(row * site.columns + column)] * s);
      }
    }
    for (std::size_t c = 0; c < channels; ++c) {
      of(scales_.of(site.node->in[kInput], static_cast<int>(c)))
          .columns.push_back({static_cast<int>(q), output[c] * site.taps * site.variance[c], bound[c]});
    }
  }
  for (std::size_t t = 0; t < group.activations.size(); ++t) {
    const ActivationSite& site = activations_[static_cast<std::size_t>(group.activations[t])];
    for (int c = 0; c < static_cast<int>(site.energy.size()); ++c) {
      of(scales_.of(site.value, c)).activations.push_back({static_cast<int>(t), c});
    }
  }
  return all;
}

bool NoiseModel::evaluate(const ChannelGroup& group, const std::vector<Coefficients>& coefficients,
                          Candidate& candidate) const {
  candidate.factors.assign(group.scales.size(), 1.0);
  std::vector<double> costs(group.scales.size(), 0.0);
  parallel_for(static_cast<std::int64_t>(group.scales.size()), 32, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const Coefficients& k = coefficients[i];
      const double now = factors_[static_cast<std::size_t>(group.scales[i])];
      double low = now * std::exp2(-kOctaves), high = now * std::exp2(kOctaves), a = 0, b = 0;
      for (const auto& row : k.rows) {
        const auto site_index = static_cast<std::size_t>(row.site);
        const int exponent = candidate.producers[site_index];
        a += row.noise * weight_step2(weights_[static_cast<std::size_t>(group.producers[site_index])], exponent);
        if (row.bound > 0) high = std::min(high, std::ldexp(1.0, exponent) / row.bound);
      }
      for (const auto& column : k.columns) {
        const auto site_index = static_cast<std::size_t>(column.site);
        const int exponent = candidate.consumers[site_index];
        b += column.noise * weight_step2(weights_[static_cast<std::size_t>(group.consumers[site_index])], exponent);
        low = std::max(low, std::ldexp(column.bound, -exponent));
      }
      for (const auto& use : k.activations) {
        const ActivationSite& site =
            activations_[static_cast<std::size_t>(group.activations[static_cast<std::size_t>(use.site)])];
        if (!site.saturates(use.channel)) continue;
        const double hi = std::get<Clip>(site.clip->op).hi;
        const int exponent = candidate.activations[static_cast<std::size_t>(use.site)];
        // A channel that reaches its limit must be cut no later than there.
        low = std::max(low, std::ldexp(1.0, exponent) / hi);
      }
      if (low > high * (1 + 1e-9)) {
        costs[i] = INFINITY;
        continue;
      }
      const auto cost = [&](double s) {
        double sum = a / (s * s) + b * s * s;
        for (const auto& use : k.activations) {
          const ActivationSite& site =
              activations_[static_cast<std::size_t>(group.activations[static_cast<std::size_t>(use.site)])];
          sum += site.cost(use.channel, candidate.activations[static_cast<std::size_t>(use.site)], s);
        }
        return sum;
      };
      double best = std::min(high, std::max(low, now)), least = cost(best);
      const auto consider = [&](double s) {
        const double c = cost(s);
        if (c < least) {
          least = c;
          best = s;
        }
      };
      consider(high);
      for (double s = low; s < high; s *= std::exp2(1 / kSteps)) consider(s);
      candidate.factors[i] = best;
      costs[i] = least;
    }
  });
  candidate.cost = 0;
  for (const double cost : costs) candidate.cost += cost;
  return std::isfinite(candidate.cost);
}

int NoiseModel::improve() {
  constexpr int kSweeps = 6;
  double last = total().sum();
  int sweeps = 0;
  while (sweeps < kSweeps) {
    bool moved = false;
    for (const ChannelGroup& group : groups_) moved = improve(group) || moved;
    ++sweeps;
    const double now = total().sum();
    if (!moved || now > last * 0.995) break;
    last = now;
  }
  return sweeps;
}

int NoiseModel::weight_exponent(const WeightSite& site, const Tensor<float>& weights, Rounding rounding) const {
  if (site.bits > kFineBits) return site.exponent;  // nothing to gain, and other images may need what is cut
  const std::int64_t per_row = weights.count() / weights.shape().n;
  const auto error = [&](int exponent) {
    const QuantSpec spec{static_cast<std::int8_t>(site.bits - 1 - exponent), static_cast<std::uint8_t>(site.bits),
                         true};
    double sum = 0;
    for (std::int64_t i = 0; i < weights.count(); ++i) {
      const auto row = static_cast<int>(i / per_row), column = static_cast<int>(i % weights.shape().c);
      const double w = static_cast<double>(weights[i]);
      const int channel = input_channel(graph_, *site.node, row, column);
      const double in = factor(scales_.of(site.node->in[kInput], channel)),
                   out = factor(scales_.of(site.node->out, row));
      const double moved = (w - fake_quantize(w, spec, rounding)) * in / out;
      sum +=
          moved * moved * site.energy[static_cast<std::size_t>(row)] * site.variance[static_cast<std::size_t>(channel)];
    }
    return sum;
  };
  int best = site.exponent;
  double least = INFINITY;
  for (int exponent = site.exponent; exponent > site.exponent - 4; --exponent) {
    const double sum = error(exponent);
    if (sum < least) {
      least = sum;
      best = exponent;
    }
  }
  return best;
}

bool NoiseModel::improve(const ChannelGroup& group) {
  if (!group.movable || group.scales.empty()) return false;
  const std::vector<Coefficients> k = coefficients(group);
  const auto exponents = [&](const std::vector<int>& sites, const auto& all, const std::vector<int>& move,
                             std::size_t offset) {
    std::vector<int> result;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      result.push_back(all[static_cast<std::size_t>(sites[i])].exponent + move[offset + i]);
    }
    return result;
  };
  double before = 0;
  for (const int p : group.producers) before += cost(weights_[static_cast<std::size_t>(p)]);
  for (const int q : group.consumers) before += cost(weights_[static_cast<std::size_t>(q)]);
  for (const int t : group.activations) before += cost(activations_[static_cast<std::size_t>(t)]);
  Candidate best;
  best.cost = before * (1 - 1e-6);
  bool found = false;
  for (const auto& move : moves(group.producers.size(), group.consumers.size(), group.activations.size())) {
    Candidate candidate;
    candidate.producers = exponents(group.producers, weights_, move, 0);
    candidate.consumers = exponents(group.consumers, weights_, move, group.producers.size());
    candidate.activations =
        exponents(group.activations, activations_, move, group.producers.size() + group.consumers.size());
    if (evaluate(group, k, candidate) && candidate.cost < best.cost) {
      best = std::move(candidate);
      found = true;
    }
  }
  if (!found) return false;
  for (std::size_t i = 0; i < group.scales.size(); ++i)
    factors_[static_cast<std::size_t>(group.scales[i])] = best.factors[i];
  for (std::size_t i = 0; i < group.producers.size(); ++i)
    weights_[static_cast<std::size_t>(group.producers[i])].exponent = best.producers[i];
  for (std::size_t i = 0; i < group.consumers.size(); ++i)
    weights_[static_cast<std::size_t>(group.consumers[i])].exponent = best.consumers[i];
  for (std::size_t i = 0; i < group.activations.size(); ++i)
    activations_[static_cast<std::size_t>(group.activations[i])].exponent = best.activations[i];
  return true;
}

}  // namespace binade
