// The training step.
#include "qat/trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/denormals.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/parallel.hpp"
#include "core/graph/count.hpp"

namespace binade {
namespace {

constexpr std::int64_t kChunk = 16384;  // elements: 64 KiB of each tensor an update reads

/// Images that go through the network together: with two, weights and the sums of their gradients are read half as
/// often. More only where all their values stay in a second cache of 1 MiB. MobileNetV2: two are 4 % faster than one,
/// four no faster than two; ResNet20 on images of 32x32: 16 are 4 % faster than two.
int piece_for(const Graph& network) {
  constexpr std::int64_t kCache = 1 << 20, kLeast = 2, kMost = 16;
  std::int64_t largest = 1;
  for (const Node& node : network.nodes()) largest = std::max(largest, network.shape(node.out).count());
  return static_cast<int>(std::clamp(kCache / (largest * std::int64_t{sizeof(float)}), kLeast, kMost));
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(const Graph& network, const UpdateOptions& options) {
  std::vector<bool> is_threshold(network.values().size(), false);
  for (const Node& node : network.nodes()) {
    if (learns_grid(node.op)) is_threshold[index_of(node.in[1])] = true;
  }
  ParameterGroup weights{.name = "weights", .optimizer = options.optimizer, .weight_decay = options.weight_decay};
  ParameterGroup vectors = weights;
  vectors.name = "vectors";
  if (!options.decay_everything) vectors.weight_decay = 0;
  ParameterGroup thresholds{.name = "thresholds",
                            .optimizer = options.threshold_optimizer,
                            .learning_rate_factor = options.threshold_learning_rate_factor,
                            .weight_decay = options.threshold_decay};
  for (const ValueId id : trainable_parameters(network)) {
    const bool is_vector = network.shape(id).pixels() == 1;
    (is_threshold[index_of(id)] ? thresholds : is_vector ? vectors : weights).parameters.push_back(id);
  }
  std::vector<ParameterGroup> groups;
  for (ParameterGroup& group : {std::ref(weights), std::ref(vectors), std::ref(thresholds)}) {
    if (!group.parameters.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

Trainer::Trainer(const Graph& network, const LossOptions& loss, std::vector<ParameterGroup> groups, std::uint64_t seed,
                 const Graph* teacher, StepObserver* observer)
    : network_(network),
      loss_(loss),
      executor_(with_loss(network, loss), {.mode = Mode::training, .piece = piece_for(network), .seed = seed}),
      observer_(observer) {
  require(loss.distillation == 0 || teacher != nullptr, "distillation wants a teacher");
  if (loss.distillation != 0) {
    Graph logits = *teacher;
    logits.set_output(logits_of(logits));
    teacher_ = std::make_unique<Executor<float>>(without_dead_nodes(logits));
  }
  std::vector<ValueId> wanted;
  for (ParameterGroup& group : groups) {
    groups_.push_back(std::make_unique<ParameterGroup>(std::move(group)));
    const ParameterGroup& kept = *groups_.back();
    const OptimizerEntry& rule = find_by_name("optimizer", kept.optimizer.name, optimizer_table());
    for (const ValueId id : kept.parameters) {
      const std::int64_t count = network_.shape(id).count();
      for (std::int64_t begin = 0; begin < count; begin += kChunk) {
        chunks_.push_back({slots_.size(), begin, std::min(count, begin + kChunk)});
      }
      slots_.push_back({id, &kept, &rule, {}});
      for (const std::string_view name : rule.state_names) {
        if (!name.empty()) slots_.back().state.emplace_back(network_.shape(id));
      }
      wanted.push_back(id);
    }
  }
  sums_.resize(chunks_.size());
  executor_.want_gradients(wanted);
}

double Trainer::step(const LabelledBatch& batch, const Rates& rates) {
  const FlushDenormals flush;
  std::vector<View<const float>> inputs{batch.images};
  if (loss_.labels) inputs.push_back(batch.labels);
  if (teacher_) inputs.push_back(teacher_->forward(batch.images));
  executor_.set_step(static_cast<std::uint64_t>(step_));
  const Tap<float> tap = observer_ != nullptr ? observer_->tap(step_) : Tap<float>{};
  const bool together = observer_ != nullptr && observer_->wants_batches();
  const double loss = executor_.step(inputs, tap, together ? Together::batch : Together::images);
  if (!std::isfinite(loss)) fail_not_finite(fmt::format("the loss is {}", loss), rates);
  // A gradient that is not finite would poison every parameter: the norm tells, and costs little beside the update.
  gradient_norm_ = std::sqrt(squared_norm());
  if (!std::isfinite(gradient_norm_)) fail_not_finite("a gradient is not a finite number", rates);
  // The formula of torch.nn.utils.clip_grad_norm_.
  const bool clip = rates.gradient_clip > 0 && gradient_norm_ > rates.gradient_clip;
  update(rates, clip ? rates.gradient_clip / (gradient_norm_ + 1e-6) : 1.0);
  if (observer_ != nullptr) observer_->after_update(executor_, step_);
  ++step_;
  return loss;
}

void Trainer::start_epoch(int epoch) {
  if (observer_ != nullptr) observer_->start_epoch(executor_, epoch);
}

double Trainer::squared_norm() {
  parallel_for(static_cast<std::int64_t>(chunks_.size()), 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
      const float* gradient = executor_.gradient(slots_[chunk.slot].id).data;
      double lanes[8] = {};  // independent sums, so that the compiler may use vectors: the order is written down here
      std::int64_t k = chunk.begin;
      for (; k + 8 <= chunk.end; k += 8) {
        for (int j = 0; j < 8; ++j) lanes[j] += static_cast<double>(gradient[k + j]) * gradient[k + j];
      }
      for (; k < chunk.end; ++k) lanes[0] += static_cast<double>(gradient[k]) * gradient[k];
      double sum = 0;
      for (const double lane : lanes) sum += lane;
      sums_[static_cast<std::size_t>(i)] = sum;
    }
  });
  double total = 0;
  for (const double sum : sums_) total += sum;
  return total;
}

void Trainer::update(const Rates& rates, double gradient_factor) {
  std::vector<View<float>> parameters;
  for (const Slot& slot : slots_) parameters.push_back(executor_.update_parameter(slot.id));
  parallel_for(static_cast<std::int64_t>(chunks_.size()), 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
      Slot& slot = slots_[chunk.slot];
      const auto begin = static_cast<std::size_t>(chunk.begin), size = static_cast<std::size_t>(chunk.end) - begin;
      Update update{.parameter = parameters[chunk.slot].span().subspan(begin, size),
                    .gradient = executor_.gradient(slot.id).span().subspan(begin, size),
                    .state = {},
                    .learning_rate = rates.learning_rate * slot.group->learning_rate_factor,
                    .weight_decay = slot.group->weight_decay,
                    .gradient_factor = gradient_factor,
                    .step = step_};
      for (std::size_t s = 0; s < slot.state.size(); ++s) update.state[s] = slot.state[s].span().subspan(begin, size);
      slot.rule->update(slot.group->optimizer, update);
    }
  });
}

void Trainer::fail_not_finite(const std::string& what, const Rates& rates) const {
  std::vector<std::string> culprits;
  const auto all_finite = [](std::span<const float> elements) {
    return std::all_of(elements.begin(), elements.end(), [](float x) { return std::isfinite(x); });
  };
  for (const ValueId id : network_.parameters()) {
    if (!all_finite(executor_.parameter(id).span())) culprits.push_back("parameter " + network_.name(id));
  }
  std::string where = "all parameters are still finite";
  if (!culprits.empty()) where = fmt::format("not finite any more: {}", fmt::join(culprits, ", "));
  throw UsageError(fmt::format(
      "training diverged: {} at step {} (learning rate {:.4g}, gradient norm of the step before {:.4g}); {}. "
      "Lower learning_rate, lengthen warmup_epochs or set gradient_clip; with a pretrained network, also compare its "
      "preprocessing with the images",
      what, step_, rates.learning_rate, gradient_norm_, where));
}

Graph Trainer::network() const {
  Graph network = network_;
  for (const ValueId id : network.parameters()) {
    const std::span<const float> from = executor_.parameter(id).span();
    std::copy(from.begin(), from.end(), network.tensor(id).span().begin());
  }
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    network.set_attributes(static_cast<int>(i), executor_.graph().nodes()[i].op);
  }
  return network;
}

TrainerState Trainer::state() const {
  TrainerState state{.step = step_, .tensors = {}};
  for (const Slot& slot : slots_) {
    for (std::size_t s = 0; s < slot.state.size(); ++s) {
      state.tensors.emplace(fmt::format("{}.{}", network_.name(slot.id), slot.rule->state_names[s]), slot.state[s]);
    }
  }
  if (observer_ != nullptr) state.observer = observer_->state();
  return state;
}

void Trainer::restore(const Graph& network, const TrainerState& state) {
  std::vector<std::string> offenders;
  std::size_t used = 0;
  const auto check = [&](const std::string& name, const Shape& wanted, const Tensor<float>* found) {
    if (found == nullptr) {
      offenders.push_back(fmt::format("{} is missing", name));
    } else if (found->shape() != wanted) {
      offenders.push_back(fmt::format("{} is {}, wanted {}", name, to_string(found->shape()), to_string(wanted)));
    }
  };
  const auto tensor_in_state = [&](const std::string& name) -> const Tensor<float>* {
    const auto it = state.tensors.find(name);
    return it == state.tensors.end() ? nullptr : &it->second;
  };
  for (const Node& node : network_.nodes()) {
    ValueId out{};
    const Node* other = network.find(node.name, out) ? network.producer(out) : nullptr;
    if (other == nullptr || other->op.index() != node.op.index()) {
      offenders.push_back(fmt::format("{} is missing or another op, wanted {}", node.name, op_name(node.op)));
    }
  }
  for (const ValueId id : network_.parameters()) {
    ValueId other{};
    const bool found = network.find(network_.name(id), other) && network.is_parameter(other);
    check(network_.name(id), network_.shape(id), found ? &network.tensor(other) : nullptr);
  }
  for (const Slot& slot : slots_) {
    for (std::size_t s = 0; s < slot.state.size(); ++s, ++used) {
      const std::string name = fmt::format("{}.{}", network_.name(slot.id), slot.rule->state_names[s]);
      check(name, network_.shape(slot.id), tensor_in_state(name));
    }
  }
  if (used != state.tensors.size()) {
    offenders.push_back(fmt::format("{} optimizer tensors, wanted {}", state.tensors.size(), used));
  }
  if (!offenders.empty()) {
    throw DataError(
        fmt::format("the saved state belongs to another network or optimizer:\n  {}", fmt::join(offenders, "\n  ")));
  }
  for (const ValueId id : network_.parameters()) {
    ValueId other{};
    network.find(network_.name(id), other);
    executor_.set_parameter(id, network.tensor(other).span());
  }
  for (Slot& slot : slots_) {
    for (std::size_t s = 0; s < slot.state.size(); ++s) {
      slot.state[s] = *tensor_in_state(fmt::format("{}.{}", network_.name(slot.id), slot.rule->state_names[s]));
    }
  }
  for (const Node& node : network.nodes()) {
    ValueId out{};
    require(network_.find(node.name, out), "restore: the network has no node '" + node.name + "'");
    executor_.set_attributes(network_.value(out).node, node.op);
  }
  if (observer_ != nullptr) observer_->restore(state.observer);
  step_ = state.step;
}

}  // namespace binade
