// Grids that follow, exponents that flip, weights that oscillate.
#include "qat/quantizer_watch.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

constexpr std::int64_t kFlipWindow = 100;  ///< steps
constexpr double kExponentMemory = 0.02;
constexpr double kManyClipped = 0.05, kManyOscillate = 0.1;
constexpr double kLeastStep = 0x1p-40;  ///< of Lsq, so that a step that was pushed below zero can come back

double max_abs(std::span<const float> elements) {
  double largest = 0;
  for (const float x : elements) largest = std::max(largest, std::abs(static_cast<double>(x)));
  return largest;
}

double learned_of(const Executor<float>& executor, const QuantizerSite& site) {
  return site.learned ? static_cast<double>(executor.parameter(*site.learned).data[0]) : 0.0;
}

const Op& op_of(const Executor<float>& executor, int node) {
  return executor.graph().nodes()[static_cast<std::size_t>(node)].op;
}

/// The ends of a quantizer's range, half a code beyond the last codes.
std::pair<double, double> ends(const Op& op, double learned) {
  if (const std::optional<QuantSpec> spec = quantizer_spec(op, learned)) {
    return {spec->min_real() - spec->step() / 2, spec->max_real() + spec->step() / 2};
  }
  const auto& lsq = std::get<Lsq>(op);
  const QuantSpec codes{0, static_cast<std::uint8_t>(lsq.bits), lsq.is_signed};
  return {learned * (static_cast<double>(codes.min_code()) - 0.5),
          learned * (static_cast<double>(codes.max_code()) + 0.5)};
}

/// How many elements lie outside.
std::int64_t count_outside(View<const float> x, std::pair<double, double> range) {
  constexpr std::int64_t kGrain = 1 << 15;
  const auto lo = static_cast<float>(range.first), hi = static_cast<float>(range.second);
  std::vector<std::int64_t> parts(static_cast<std::size_t>((x.count() + kGrain - 1) / kGrain));
  parallel_for(x.count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t outside = 0;
    for (std::int64_t i = begin; i < end; ++i) outside += x.data[i] < lo || x.data[i] > hi ? 1 : 0;
    parts[static_cast<std::size_t>(begin / kGrain)] = outside;
  });
  std::int64_t total = 0;
  for (const std::int64_t part : parts) total += part;
  return total;
}

}  // namespace

std::string telemetry_csv(std::span<const TelemetryRow> rows) {
  std::string text = "step,tensor,role,learned,exponent,flips,held,clip_rate,oscillating,weights_held\n";
  for (const TelemetryRow& row : rows) {
    text += fmt::format("{},\"{}\",{},{},{},{},{},{:.6g},{:.6g},{:.6g}\n", row.step, row.tensor, row.role,
                        row.learned ? fmt::format("{:.6g}", *row.learned) : "",
                        row.exponent ? fmt::format("{}", *row.exponent) : "", row.flips, row.held ? 1 : 0,
                        row.clip_rate, row.oscillating, row.weights_held);
  }
  return text;
}

QuantizerWatch::QuantizerWatch(const Graph& network, const WatchOptions& options)
    : options_(options),
      by_value_(network.values().size()),
      biases_(bias_sites(network)),
      specs_(network.nodes().size()) {
  for (const QuantizerSite& site : quantizer_sites(network)) {
    if (site.role == QuantizerRole::bias) continue;
    Watched watched{.site = site, .name = network.name(site.value)};
    const Op& op = network.nodes()[static_cast<std::size_t>(site.node)].op;
    if (site.role == QuantizerRole::weights && traits_of(op).integer != IntegerForm::none &&
        network.is_parameter(site.value)) {
      watched.codes.emplace(options.oscillation, network.shape(site.value));
    }
    if (site.role == QuantizerRole::activation) by_value_[index_of(site.value)].push_back(watched_.size());
    watched_.push_back(std::move(watched));
  }
}

void QuantizerWatch::begin(Executor<float>& executor) {
  begun_ = true;
  for (Watched& watched : watched_) {
    const Op& op = op_of(executor, watched.site.node);
    auto& spec = specs_[static_cast<std::size_t>(watched.site.node)];
    spec = quantizer_spec(op, learned_of(executor, watched.site));
    if (spec && !restored_) watched.average_exponent = spec->exponent();
    if (spec) watched.exponent = spec->exponent();
    watched.ends = ends(op, learned_of(executor, watched.site));
    if (watched.codes) watched.codes->begin(executor.parameter(watched.site.value).span(), *spec, rounding_of(op));
  }
}

void QuantizerWatch::start_epoch(Executor<float>& executor, int epoch) {
  if (!begun_) begin(executor);
  if (options_.statistics_freeze_epoch >= 0 && epoch >= options_.statistics_freeze_epoch) {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      const auto* norm = std::get_if<BatchNorm>(&op_of(executor, static_cast<int>(i)));
      if (norm == nullptr || norm->frozen) continue;
      BatchNorm frozen = *norm;
      frozen.frozen = true;
      executor.set_attributes(static_cast<int>(i), frozen);
    }
  }
  ranges_frozen_ = options_.range_freeze_epoch >= 0 && epoch >= options_.range_freeze_epoch;
}

Tap<float> QuantizerWatch::tap(std::int64_t step) {
  const bool follows = options_.running_ranges && !ranges_frozen_;
  if (!follows && !is_sampled(step)) return {};
  return [this, step](ValueId id, View<const float> view, int) { see(id, view, step); };
}

void QuantizerWatch::see(ValueId id, View<const float> view, std::int64_t step) {
  if (index_of(id) >= by_value_.size()) return;  // the loss
  for (const std::size_t i : by_value_[index_of(id)]) {
    Watched& watched = watched_[i];
    if (options_.running_ranges && !ranges_frozen_) {
      const std::uint64_t seed = mix_bits(options_.seed + static_cast<std::uint64_t>(step) * watched_.size() + i);
      watched.range.add(view, seed);
    }
    if (!is_sampled(step)) continue;
    const std::int64_t clipped = count_outside(view, watched.ends);
    const std::lock_guard lock(mutex_);
    watched.clipped += clipped;
    watched.seen += view.count();
  }
}

void QuantizerWatch::after_update(Executor<float>& executor, std::int64_t step) {
  for (Watched& watched : watched_) {
    const Op& op = op_of(executor, watched.site.node);
    if (options_.running_ranges) follow_ranges(executor, watched);
    if (traits_of(op).integer == IntegerForm::none) {  // a step of any size
      float& learned = *executor.update_parameter(*watched.site.learned).data;
      learned = std::max(learned, static_cast<float>(kLeastStep));
    }
    note_exponent(executor, watched, step);
    const auto& spec = specs_[static_cast<std::size_t>(watched.site.node)];
    if (watched.codes) {
      watched.codes->step(executor.update_parameter(watched.site.value).span(), *spec, rounding_of(op));
    }
    watched.ends = ends(op_of(executor, watched.site.node), learned_of(executor, watched.site));
    if (is_sampled(step)) sample(executor, watched, step);
  }
  for (const BiasSite& site : biases_) {
    FakeQuant fake = std::get<FakeQuant>(op_of(executor, site.node));
    const auto &input = specs_[static_cast<std::size_t>(site.input)],
               &weights = specs_[static_cast<std::size_t>(site.weights)];
    if (!input || !weights) continue;
    const QuantSpec spec = bias_spec(*input, *weights, largest(executor, site.bias), fake.spec.bits);
    if (spec != fake.spec) {
      fake.spec = spec;
      executor.set_attributes(site.node, fake);
    }
    if (step + 1 == options_.bias_write_back_step) write_back(executor, site);
  }
}

/// A bias becomes what its codes say; one that is merged does so through the batch norm's beta.
void QuantizerWatch::write_back(Executor<float>& executor, const BiasSite& site) const {
  const Graph& graph = executor.graph();
  const auto& fake = std::get<FakeQuant>(op_of(executor, site.node));
  const Tensor<float> now =
      merged_value(graph, site.bias, [&](ValueId parameter) { return executor.parameter(parameter); });
  const Node* merge = graph.producer(site.bias);
  constexpr std::size_t kBeta = 1;
  const View<float> kept = executor.update_parameter(merge == nullptr ? site.bias : merge->in[kBeta]);
  for (std::int64_t c = 0; c < now.count(); ++c) {
    kept.data[c] += fake_quantize(now[c], fake.spec, fake.rounding) - now[c];
  }
}

double QuantizerWatch::largest(const Executor<float>& executor, ValueId id) const {
  const Graph& graph = executor.graph();
  if (graph.is_parameter(id)) return max_abs(executor.parameter(id).span());
  return max_abs(merged_value(graph, id, [&](ValueId parameter) { return executor.parameter(parameter); }).span());
}

void QuantizerWatch::follow_ranges(Executor<float>& executor, Watched& watched) {
  Op op = op_of(executor, watched.site.node);
  QuantSpec* spec = attribute_grid(op);
  if (spec == nullptr) return;
  const QuantSpec before = *spec;
  if (watched.site.role == QuantizerRole::weights) {  // TI freezes those of activations only
    *spec = spec_for_clip(largest(executor, watched.site.value), before.bits, true);
  } else if (!ranges_frozen_ && watched.range.batches() > 0) {
    *spec = watched.range.spec(before.bits);
  }
  if (!(*spec == before)) executor.set_attributes(watched.site.node, op);
}

void QuantizerWatch::note_exponent(Executor<float>& executor, Watched& watched, std::int64_t step) {
  const Op& op = op_of(executor, watched.site.node);
  const double learned = learned_of(executor, watched.site);
  auto& spec = specs_[static_cast<std::size_t>(watched.site.node)];
  spec = quantizer_spec(op, learned);
  if (!spec) return;
  const auto* tqt = std::get_if<Tqt>(&op);
  if (tqt != nullptr && tqt->held) {
    // Released when the threshold has really gone elsewhere: k - 1 - margin < l <= k + margin holds on.
    const double k = tqt->exponent;
    if (learned > k - 1 - options_.hold_margin && learned <= k + options_.hold_margin) return;
    Tqt free = *tqt;
    free.held = false;
    executor.set_attributes(watched.site.node, free);
    watched.flip_steps.clear();
    spec = free.spec(learned);
  }
  const int exponent = spec->exponent();
  watched.average_exponent += kExponentMemory * (exponent - watched.average_exponent);
  if (exponent == *watched.exponent) return;
  watched.exponent = exponent;
  ++watched.flips;
  watched.flip_steps.push_back(step);
  std::erase_if(watched.flip_steps, [&](std::int64_t at) { return at <= step - kFlipWindow; });
  if (tqt == nullptr || options_.hold_flips == 0 || static_cast<int>(watched.flip_steps.size()) < options_.hold_flips) {
    return;
  }
  Tqt held = std::get<Tqt>(op_of(executor, watched.site.node));
  held.held = true;
  held.exponent = static_cast<int>(std::lround(watched.average_exponent));
  executor.set_attributes(watched.site.node, held);
  spec = held.spec(learned);
  watched.exponent = held.exponent;
  warnings_.push_back(fmt::format("{}: its exponent changed {} times within {} steps, now held at {} (step {})",
                                  watched.name, watched.flip_steps.size(), kFlipWindow, held.exponent, step));
}

void QuantizerWatch::sample(const Executor<float>& executor, Watched& watched, std::int64_t step) {
  const Op& op = op_of(executor, watched.site.node);
  const double learned = learned_of(executor, watched.site);
  const bool is_weights = watched.site.role == QuantizerRole::weights;
  if (is_weights && executor.graph().is_parameter(watched.site.value)) {
    const View<const float> weights = executor.parameter(watched.site.value);
    watched.clipped = count_outside(weights, watched.ends);
    watched.seen = weights.count();
  }
  if (watched.seen > 0) watched.clip_rate = static_cast<double>(watched.clipped) / static_cast<double>(watched.seen);
  watched.clipped = watched.seen = 0;
  TelemetryRow row{.step = step,
                   .tensor = watched.name,
                   .role = is_weights ? "weights" : "activation",
                   .learned = watched.site.learned ? std::optional(learned) : std::nullopt,
                   .exponent = watched.exponent,
                   .flips = watched.flips,
                   .clip_rate = watched.clip_rate};
  if (const auto* tqt = std::get_if<Tqt>(&op)) row.held = tqt->held;
  if (watched.codes) {
    const double count = static_cast<double>(watched.codes->memory().count());
    row.oscillating = static_cast<double>(watched.codes->oscillating()) / count;
    row.weights_held = static_cast<double>(watched.codes->held()) / count;
  }
  if (row.clip_rate > kManyClipped) {
    warn(watched, 1,
         fmt::format("{}: {:.1f} % of its elements are clipped (step {})", watched.name, 100 * row.clip_rate, step));
  }
  if (row.oscillating > kManyOscillate) {
    warn(watched, 2,
         fmt::format("{}: {:.1f} % of its weights oscillate between two codes (step {})", watched.name,
                     100 * row.oscillating, step));
  }
  rows_.push_back(std::move(row));
}

void QuantizerWatch::warn(Watched& watched, int kind, const std::string& sentence) {
  if ((watched.warned & kind) != 0) return;
  watched.warned |= kind;
  warnings_.push_back(sentence);
}

ObserverState QuantizerWatch::state() const {
  using nlohmann::json;
  ObserverState state;
  json text{{"quantizers", json::object()}, {"warnings", warnings_}, {"rows", json::array()}};
  for (const Watched& watched : watched_) {
    const RunningRange& range = watched.range;
    text["quantizers"][watched.name] = {{"average_exponent", watched.average_exponent},
                                        {"flip_steps", watched.flip_steps},
                                        {"flips", watched.flips},
                                        {"clip_rate", watched.clip_rate},
                                        {"range", {range.min(), range.max(), range.batches()}},
                                        {"warned", watched.warned}};
    if (watched.codes) state.tensors.emplace(watched.name + ".oscillation", watched.codes->memory());
  }
  for (const TelemetryRow& row : rows_) {
    text["rows"].push_back({row.step, row.tensor, row.role, row.learned ? json(*row.learned) : json(),
                            row.exponent ? json(*row.exponent) : json(), row.flips, row.held, row.clip_rate,
                            row.oscillating, row.weights_held});
  }
  state.text = text.dump();
  return state;
}

void QuantizerWatch::restore(const ObserverState& state) {
  using nlohmann::json;
  begun_ = false;
  restored_ = true;
  try {
    const json text = json::parse(state.text);
    for (Watched& watched : watched_) {
      const json& saved = text.at("quantizers").at(watched.name);
      saved.at("average_exponent").get_to(watched.average_exponent);
      saved.at("flip_steps").get_to(watched.flip_steps);
      saved.at("flips").get_to(watched.flips);
      saved.at("clip_rate").get_to(watched.clip_rate);
      saved.at("warned").get_to(watched.warned);
      const json& range = saved.at("range");
      watched.range = RunningRange::of(range.at(0), range.at(1), range.at(2));
      if (!watched.codes) continue;
      const auto memory = state.tensors.find(watched.name + ".oscillation");
      if (memory == state.tensors.end()) throw DataError("the state has no oscillations of '" + watched.name + "'");
      watched.codes->set_memory(memory->second);
    }
    text.at("warnings").get_to(warnings_);
    rows_.clear();
    for (const json& row : text.at("rows")) {
      rows_.push_back({row.at(0), row.at(1), row.at(2),
                       row.at(3).is_null() ? std::nullopt : std::optional(row.at(3).get<double>()),
                       row.at(4).is_null() ? std::nullopt : std::optional(row.at(4).get<int>()), row.at(5), row.at(6),
                       row.at(7), row.at(8), row.at(9)});
    }
  } catch (const json::exception& error) {
    throw DataError(fmt::format("the saved state of the quantizers cannot be read: {}", error.what()));
  }
}

}  // namespace binade
