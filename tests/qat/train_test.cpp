// Whole runs: continued ones equal those never stopped, metrics say what happened, senseless options are refused.
#include "qat/train.hpp"

#include <filesystem>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "qat/checkpoint.hpp"
#include "tests/qat/tiny.hpp"

namespace binade {
namespace {

const TrainOptions kOptions{.epochs = 4,
                            .batch = 16,
                            .schedule = {.learning_rate = 0.1, .warmup_epochs = 0.5},
                            .loss = {.label_smoothing = 0.1},
                            .gradient_clip = 1,
                            .seed = 3,
                            .log_steps = 4};

/// A measure of the network that costs nothing: enough to see that validation ran, on what, and when.
double first_weight(const Graph& network) {
  return network.tensor(network.parameters().front())[0];
}

void expect_same_run(const TrainCheckpoint& a, const TrainCheckpoint& b) {
  for (const ValueId id : a.network.parameters()) EXPECT_EQ(a.network.tensor(id), b.network.tensor(id));
  EXPECT_EQ(a.trainer.step, b.trainer.step);
  EXPECT_EQ(a.row_loss, b.row_loss);
  EXPECT_EQ(a.trainer.tensors, b.trainer.tensors);
  EXPECT_EQ(a.settings, b.settings);
  ASSERT_EQ(a.metrics.size(), b.metrics.size());
  for (std::size_t i = 0; i < a.metrics.size(); ++i) {  // all but the speed
    EXPECT_EQ(a.metrics[i].step, b.metrics[i].step);
    EXPECT_EQ(a.metrics[i].loss, b.metrics[i].loss);
    EXPECT_EQ(a.metrics[i].validation, b.metrics[i].validation);
  }
}

TEST(Train, ContinuedAnywhereEqualsNeverStopped) {
  StripeSource source(100);
  std::vector<TrainCheckpoint> checkpoints;
  const TrainCallbacks callbacks{.validate = first_weight,
                                 .on_checkpoint = [&](const TrainCheckpoint& at) { checkpoints.push_back(at); }};
  TrainOptions options = kOptions;
  options.checkpoint_steps = 2;
  const TrainCheckpoint whole = train(tiny_network(1, 0.2), source, options, callbacks);
  ASSERT_EQ(checkpoints.size(), 13u);  // at the start, after 2, 4 and 6 steps of every epoch
  for (const std::size_t stop : {0u, 2u, 3u, 6u, 11u, 12u}) {
    SCOPED_TRACE(stop);
    const TrainCheckpoint from = checkpoints[stop];
    EXPECT_EQ(from.trainer.step, static_cast<std::int64_t>(2 * stop));
    expect_same_run(train(tiny_network(9, 0.2), source, options, {.validate = first_weight}, &from), whole);
  }
}

TEST(Train, ContinuedFromDiskEqualsNeverStopped) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "train_test_checkpoint.h5";
  StripeSource source(100);
  const Model model{.name = "tiny", .graph = tiny_network(1, 0.2), .classes = {"a", "b", "c", "d"}};
  const TrainCallbacks callbacks{.validate = first_weight, .on_checkpoint = [&](const TrainCheckpoint& at) {
                                   if (at.epochs_done == 2) save_training(model, at, path);
                                 }};
  const TrainCheckpoint whole = train(model.graph, source, kOptions, callbacks);
  const SavedTraining saved = load_training(path);
  EXPECT_EQ(saved.model.classes, model.classes);
  EXPECT_EQ(saved.checkpoint.epochs_done, 2);
  expect_same_run(train(saved.model.graph, source, kOptions, {.validate = first_weight}, &saved.checkpoint), whole);

  save_checkpoint(model, path);
  try {
    load_training(path);
    FAIL() << "a model without a training state was taken for a run";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("no training state"), std::string::npos) << error.what();
  }
  std::filesystem::remove(path);
}

TEST(Train, LearnsAndReportsIt) {
  StripeSource source(100);
  std::vector<TrainProgress> progress;
  const TrainCheckpoint result =
      train(tiny_network(), source, kOptions,
            {.on_step = [&](const TrainProgress& at) { progress.push_back(at); }, .validate = first_weight});
  ASSERT_EQ(progress.size(), 24u);  // four epochs of 100 / 16
  EXPECT_EQ(progress.back().step, 24);
  EXPECT_EQ(progress.back().steps, 24);
  EXPECT_EQ(progress.back().seconds_left, 0);
  EXPECT_GT(progress[3].seconds_left, 0);
  EXPECT_LT(progress.back().loss, 0.8 * progress.front().loss);
  EXPECT_DOUBLE_EQ(progress.front().learning_rate, 1e-4);  // warm-up starts at a thousandth
  EXPECT_DOUBLE_EQ(progress[3].learning_rate, 0.1);        // half an epoch
  ASSERT_EQ(result.metrics.size(), 8u);                    // after 4 and 6 steps of every epoch
  EXPECT_EQ(result.metrics[2].step, 10);
  EXPECT_FALSE(result.metrics[0].validation.has_value());
  EXPECT_EQ(result.metrics[7].validation, std::optional(first_weight(result.network)));
  const double mean = (progress[4].loss + progress[5].loss) / 2;
  EXPECT_DOUBLE_EQ(result.metrics[1].loss, mean);
}

TEST(Train, MetricsAsCsv) {
  const std::vector<MetricsRow> rows{
      {.epoch = 0, .step = 20, .loss = 1.5, .learning_rate = 0.1, .images_per_second = 640.04},
      {.epoch = 0, .step = 31, .loss = 0.1, .learning_rate = 0.05, .images_per_second = 9, .validation = 88.25}};
  EXPECT_EQ(metrics_csv(rows),
            "epoch,step,loss,learning_rate,images_per_second,validation\n"
            "0,20,1.5,0.1,640.0,\n"
            "0,31,0.1,0.05,9.0,88.25\n");
}

TEST(Train, ResumeWithOtherSettingsListsTheDifferences) {
  StripeSource source(100);
  TrainOptions options = kOptions;
  options.epochs = 1;
  const TrainCheckpoint at = train(tiny_network(), source, options);
  options.epochs = 2;
  options.update.weight_decay = 0.5;
  try {
    train(tiny_network(), source, options, {}, &at);
    FAIL() << "other settings were accepted";
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("epochs: was 1, now 2"), std::string::npos) << message;
    EXPECT_NE(message.find("weight_decay: was 0.0001, now 0.5"), std::string::npos) << message;
    EXPECT_EQ(message.find("momentum"), std::string::npos) << message;
  }
}

TEST(Train, SenselessOptionsAreAllNamed) {
  StripeSource source(10);
  TrainOptions options = kOptions;
  options.schedule.learning_rate = -1;
  options.update.optimizer.momentum = 1.5;
  try {
    train(tiny_network(), source, options);
    FAIL() << "senseless options were accepted";
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("learning_rate is -1"), std::string::npos) << message;
    EXPECT_NE(message.find("momentum is 1.5"), std::string::npos) << message;
    EXPECT_NE(message.find("only 10 training images"), std::string::npos) << message;
  }
  options = kOptions;
  options.schedule.name = "cosinus";
  StripeSource enough(100);
  EXPECT_THROW(train(tiny_network(), enough, options), UsageError);
}

TEST(Train, AJumpOfTheLossIsDivergence) {
  StripeSource source(100);
  TrainOptions options = kOptions;
  options.gradient_clip = 0;
  options.loss_jump = 2;
  options.log_steps = 1;
  options.schedule.learning_rate = 30;
  int checkpoints = 0;
  try {
    train(tiny_network(), source, options, {.on_checkpoint = [&](const TrainCheckpoint&) { ++checkpoints; }});
    FAIL() << "a rate of 30 did not diverge";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("the loss jumped to"), std::string::npos) << error.what();
  }
  EXPECT_EQ(checkpoints, 1);  // that of the start
}

TEST(Train, DistillationNeedsNoLabels) {
  StripeSource source(100);
  TrainOptions options = kOptions;
  options.loss = {.labels = false, .distillation = 1, .temperature = 2};
  const Graph teacher = train(tiny_network(), source, kOptions).network;
  const TrainCheckpoint pupil = train(tiny_network(5), source, options, {}, nullptr, {.teacher = &teacher});
  EXPECT_LT(pupil.metrics.back().loss, 0.5 * pupil.metrics.front().loss);
  EXPECT_GT(pupil.metrics.back().loss, 0);
  options.loss.distillation = 0;
  EXPECT_THROW(train(tiny_network(), source, options), UsageError);
}

TEST(Train, DivergenceSaysInWhichEpoch) {
  StripeSource source(100);
  TrainOptions options = kOptions;
  options.gradient_clip = 0;
  options.schedule.learning_rate = 1e30;
  try {
    train(tiny_network(), source, options);
    FAIL() << "a rate of 1e30 did not diverge";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("while training epoch 1 of 4"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace binade
