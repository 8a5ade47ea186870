// The loop over epochs and steps.
#include "qat/train.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"

namespace binade {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const TrainOptions& options, const Graph& network, const TrainingSource& source) {
  std::vector<std::string> offenders;
  const auto want = [&](bool fine, const std::string& sentence) {
    if (!fine) offenders.push_back(sentence);
  };
  want(options.epochs >= 1, fmt::format("epochs is {}, must be at least 1", options.epochs));
  want(options.batch >= 2, fmt::format("batch is {}, batch normalisation needs at least 2", options.batch));
  want(options.schedule.learning_rate > 0,
       fmt::format("learning_rate is {}, must be positive", options.schedule.learning_rate));
  want(options.schedule.warmup_epochs >= 0 && options.schedule.warmup_epochs <= options.epochs,
       fmt::format("warmup_epochs is {}, must be from 0 to epochs = {}", options.schedule.warmup_epochs,
                   options.epochs));
  want(options.schedule.step_epochs > 0,
       fmt::format("step_epochs is {}, must be positive", options.schedule.step_epochs));
  want(options.update.optimizer.momentum >= 0 && options.update.optimizer.momentum < 1,
       fmt::format("momentum is {}, must be at least 0 and below 1", options.update.optimizer.momentum));
  want(options.update.weight_decay >= 0,
       fmt::format("weight_decay is {}, must not be negative", options.update.weight_decay));
  want(options.loss.label_smoothing >= 0 && options.loss.label_smoothing < 1,
       fmt::format("label_smoothing is {}, must be at least 0 and below 1", options.loss.label_smoothing));
  want(options.gradient_clip >= 0, fmt::format("gradient_clip is {}, must not be negative", options.gradient_clip));
  want(options.validate_epochs >= 0,
       fmt::format("validate_epochs is {}, must not be negative", options.validate_epochs));
  want(options.log_steps >= 1, fmt::format("log_steps is {}, must be at least 1", options.log_steps));
  want(options.checkpoint_steps >= 0,
       fmt::format("checkpoint_steps is {}, must not be negative", options.checkpoint_steps));
  want(options.loss_jump == 0 || options.loss_jump > 1,
       fmt::format("loss_jump is {}, must be above 1, or 0", options.loss_jump));
  want(options.loss.distillation >= 0 && options.loss.temperature > 0,
       fmt::format("distillation is {} at temperature {}, must not be negative, at a positive temperature",
                   options.loss.distillation, options.loss.temperature));
  want(source.count() >= options.batch,
       fmt::format("batch is {}, but there are only {} training images", options.batch, source.count()));
  if (!offenders.empty()) throw UsageError(fmt::format("cannot train: {}", fmt::join(offenders, "; ")));
  find_by_name("schedule", options.schedule.name, schedule_table());
  const Shape input = network.shape(network.inputs().at(0));
  require(source.shape() == input,
          "train: the source makes " + to_string(source.shape()) + ", the network reads " + to_string(input));
}

void check_same_settings(const TrainCheckpoint& resume, const std::map<std::string, std::string>& wanted) {
  std::vector<std::string> differences;
  std::map<std::string, std::string> saved = resume.settings;
  for (const auto& [name, value] : wanted) {
    if (saved[name] != value) differences.push_back(fmt::format("{}: was {}, now {}", name, saved[name], value));
  }
  if (differences.empty()) return;
  throw UsageError(fmt::format("cannot resume with other settings; give the old ones or start a new run\n  {}",
                               fmt::join(differences, "\n  ")));
}

/// One call of train(): where it stands, and the clock.
class Run {
 public:
  Run(Trainer& trainer, TrainingSource& source, const TrainOptions& options, const TrainCallbacks& callbacks,
      TrainCheckpoint& state)
      : trainer_(trainer), source_(source), options_(options), callbacks_(callbacks), state_(state) {
    steps_per_epoch_ = source.count() / options.batch;
    first_step_ = trainer.steps();
  }

  /// The whole epoch, or what a checkpoint inside it left to do.
  void epoch(int epoch) {
    const auto first = static_cast<int>(trainer_.steps() % steps_per_epoch_);
    source_.start_epoch(epoch, options_.batch, first);
    trainer_.start_epoch(epoch);
    if (trainer_.steps() == 0) keep();
    for (int i = first; i < steps_per_epoch_; ++i) {
      step(epoch);
      const bool last = i + 1 == steps_per_epoch_;
      if (last || (i + 1) % options_.log_steps == 0) add_row(epoch);
      if (!last && options_.checkpoint_steps > 0 && (i + 1) % options_.checkpoint_steps == 0) keep();
    }
    state_.epochs_done = epoch + 1;
    const bool due = options_.validate_epochs > 0 && (epoch + 1) % options_.validate_epochs == 0;
    if ((due || epoch + 1 == options_.epochs) && callbacks_.validate) {
      state_.metrics.back().validation = callbacks_.validate(trainer_.network());
    }
    keep();
  }

 private:
  void keep() {
    state_.network = trainer_.network();
    state_.trainer = trainer_.state();
    if (callbacks_.on_checkpoint) callbacks_.on_checkpoint(state_);
  }

  void step(int epoch) {
    const Clock::time_point start = Clock::now();
    rate_ = learning_rate(options_.schedule, trainer_.steps(), steps_per_epoch_, options_.epochs);
    const LabelledBatch batch = source_.next();
    const double loss = trainer_.step(batch, {.learning_rate = rate_, .gradient_clip = options_.gradient_clip});
    const double seconds = seconds_since(start);
    state_.row_loss += loss;
    row_seconds_ += seconds;
    training_seconds_ += seconds;
    ++state_.row_steps;
    ++row_steps_here_;
    if (callbacks_.on_step) callbacks_.on_step(progress(epoch, loss));
  }

  TrainProgress progress(int epoch, double loss) const {
    const std::int64_t done = trainer_.steps(), all = std::int64_t{options_.epochs} * steps_per_epoch_;
    const auto here = static_cast<double>(done - first_step_);
    return {.epoch = epoch,
            .epochs = options_.epochs,
            .step = done,
            .steps = all,
            .loss = loss,
            .learning_rate = rate_,
            .images_per_second = here * options_.batch / training_seconds_,
            .seconds_left = seconds_since(begin_) / here * static_cast<double>(all - done)};
  }

  void add_row(int epoch) {
    state_.metrics.push_back({.epoch = epoch,
                              .step = trainer_.steps(),
                              .loss = state_.row_loss / state_.row_steps,
                              .learning_rate = rate_,
                              .images_per_second = row_steps_here_ * options_.batch / row_seconds_,
                              .validation = {}});
    state_.row_loss = row_seconds_ = 0;
    state_.row_steps = row_steps_here_ = 0;
    check_jump();
  }

  void check_jump() const {
    if (options_.loss_jump == 0) return;
    const auto less = [](const MetricsRow& a, const MetricsRow& b) { return a.loss < b.loss; };
    const MetricsRow& least = *std::min_element(state_.metrics.begin(), state_.metrics.end(), less);
    const double loss = state_.metrics.back().loss, limit = options_.loss_jump * least.loss + 0.1;
    if (loss <= limit) return;
    throw UsageError(fmt::format(
        "training diverged: the loss jumped to {:.4g} by step {}, after {:.4g} by step {} (learning rate {:.4g}); "
        "lower learning_rate, lengthen warmup_epochs or set gradient_clip; loss_jump = 0 goes on regardless",
        loss, trainer_.steps(), least.loss, least.step, rate_));
  }

  Trainer& trainer_;
  TrainingSource& source_;
  const TrainOptions& options_;
  const TrainCallbacks& callbacks_;
  TrainCheckpoint& state_;
  std::int64_t steps_per_epoch_ = 0, first_step_ = 0;
  Clock::time_point begin_ = Clock::now();
  double rate_ = 0, training_seconds_ = 0, row_seconds_ = 0;
  int row_steps_here_ = 0;  ///< of the row, in this call of train()
};

/// Parameters whose rates have factors of their own get groups of their own.
std::vector<ParameterGroup> split(const std::vector<ParameterGroup>& groups, const Graph& network,
                                  const std::map<std::string, double>& factors) {
  std::vector<ParameterGroup> result;
  for (const ParameterGroup& group : groups) {
    ParameterGroup rest = group;
    rest.parameters.clear();
    for (const ValueId id : group.parameters) {
      const auto factor = factors.find(network.name(id));
      if (factor == factors.end()) {
        rest.parameters.push_back(id);
        continue;
      }
      ParameterGroup own = group;
      own.name += " " + network.name(id);
      own.parameters = {id};
      own.learning_rate_factor *= factor->second;
      result.push_back(std::move(own));
    }
    if (!rest.parameters.empty()) result.push_back(std::move(rest));
  }
  return result;
}

}  // namespace

std::map<std::string, std::string> settings(const TrainOptions& options) {
  const ScheduleOptions& schedule = options.schedule;
  const UpdateOptions& update = options.update;
  const auto text = [](double value) { return fmt::format("{}", value); };
  return {{"epochs", fmt::format("{}", options.epochs)},
          {"batch", fmt::format("{}", options.batch)},
          {"schedule", schedule.name},
          {"learning_rate", text(schedule.learning_rate)},
          {"warmup_epochs", text(schedule.warmup_epochs)},
          {"warmup_start", text(schedule.warmup_start)},
          {"final_factor", text(schedule.final_factor)},
          {"step_epochs", text(schedule.step_epochs)},
          {"step_factor", text(schedule.step_factor)},
          {"optimizer", update.optimizer.name},
          {"momentum", text(update.optimizer.momentum)},
          {"nesterov", fmt::format("{}", update.optimizer.nesterov)},
          {"weight_decay", text(update.weight_decay)},
          {"decay_everything", fmt::format("{}", update.decay_everything)},
          {"threshold_learning_rate_factor", text(update.threshold_learning_rate_factor)},
          {"threshold_optimizer", update.threshold_optimizer.name},
          {"threshold_decay", text(update.threshold_decay)},
          {"labels", fmt::format("{}", options.loss.labels)},
          {"distillation", text(options.loss.distillation)},
          {"temperature", text(options.loss.temperature)},
          {"log_steps", fmt::format("{}", options.log_steps)},
          {"label_smoothing", text(options.loss.label_smoothing)},
          {"class_weights", fmt::format("{}", fmt::join(options.loss.class_weights, ","))},
          {"ignore_label", fmt::format("{}", options.loss.ignore_label)},
          {"gradient_clip", text(options.gradient_clip)},
          {"seed", fmt::format("{}", options.seed)}};
}

TrainCheckpoint train(const Graph& network, TrainingSource& source, const TrainOptions& options,
                      const TrainCallbacks& callbacks, const TrainCheckpoint* resume, const TrainPartners& partners) {
  check(options, network, source);
  Trainer trainer(network, options.loss,
                  split(parameter_groups(network, options.update), network, partners.rate_factors), options.seed,
                  partners.teacher, partners.observer);
  TrainCheckpoint state{.network = network};
  std::map<std::string, std::string> wanted = settings(options);
  wanted.insert(partners.settings.begin(), partners.settings.end());
  if (resume != nullptr) {
    check_same_settings(*resume, wanted);
    trainer.restore(resume->network, resume->trainer);
    state = *resume;
  }
  state.settings = wanted;
  Run run(trainer, source, options, callbacks, state);
  for (int epoch = state.epochs_done; epoch < options.epochs; ++epoch) {
    with_context(fmt::format("training epoch {} of {}", epoch + 1, options.epochs), [&] { run.epoch(epoch); });
  }
  return state;
}

}  // namespace binade
