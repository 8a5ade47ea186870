// The training step: it learns, it is the same on any number of threads, it can be continued, it notices divergence.
#include "qat/trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/graph/count.hpp"
#include "tests/qat/tiny.hpp"

namespace binade {
namespace {

constexpr double kRate = 0.05;

Trainer make_trainer(const Graph& graph) {
  return Trainer(graph, {}, parameter_groups(graph, {.weight_decay = 1e-4}), 7);
}

std::vector<double> losses(Trainer& trainer, TrainingSource& source, int epoch, int steps) {
  std::vector<double> losses;
  source.start_epoch(epoch, 16);
  for (int i = 0; i < steps; ++i) losses.push_back(trainer.step(source.next(), {.learning_rate = kRate}));
  return losses;
}

void expect_same_bits(const Graph& a, const Graph& b) {
  for (const ValueId id : a.parameters()) EXPECT_EQ(a.tensor(id), b.tensor(id)) << a.name(id);
}

TEST(Trainer, OverfitsOneBatch) {
  const Graph graph = tiny_network();
  Trainer trainer = make_trainer(graph);
  StripeSource source(16);
  source.start_epoch(0, 16, 0);
  const LabelledBatch batch = source.next();
  double loss = 0;
  for (int i = 0; i < 200; ++i) loss = trainer.step(batch, {.learning_rate = 0.1});
  EXPECT_LT(loss, 0.02);
}

TEST(Trainer, LearnsWhatGeneralizes) {
  const Graph graph = tiny_network(1, 0.1);
  Trainer trainer = make_trainer(graph);
  StripeSource source(640), other(64, 99);
  losses(trainer, source, 0, 40);
  losses(trainer, source, 1, 40);
  Executor<float> executor(trainer.network());
  other.start_epoch(0, 64, 0);
  const LabelledBatch batch = other.next();
  const View<const float> logits = executor.forward(batch.images);
  int right = 0;
  for (int i = 0; i < 64; ++i) {
    const float* row = logits.data + i * 4;
    right += std::max_element(row, row + 4) - row == static_cast<int>(batch.labels.data[i]);
  }
  EXPECT_GE(right, 58);  // chance: 16
}

TEST(Trainer, AnyNumberOfThreadsGivesTheSameBits) {
  const int before = thread_count();
  std::vector<Graph> results;
  std::vector<std::vector<double>> curves;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    Trainer trainer = make_trainer(tiny_network(1, 0.2));
    StripeSource source(160);
    curves.push_back(losses(trainer, source, 0, 10));
    results.push_back(trainer.network());
  }
  set_thread_count(before);
  EXPECT_EQ(curves[0], curves[1]);
  EXPECT_EQ(curves[0], curves[2]);
  expect_same_bits(results[0], results[1]);
  expect_same_bits(results[0], results[2]);
}

TEST(Trainer, RestoredStateContinuesWithTheSameBits) {
  StripeSource source(160);
  Trainer whole = make_trainer(tiny_network(1, 0.2));
  losses(whole, source, 0, 5);
  const std::vector<double> expected = losses(whole, source, 1, 5);

  Trainer first = make_trainer(tiny_network(1, 0.2));
  losses(first, source, 0, 5);
  Trainer second = make_trainer(tiny_network(2, 0.2));  // other initial parameters: all must come from the state
  second.restore(first.network(), first.state());
  EXPECT_EQ(second.steps(), 5);
  EXPECT_EQ(losses(second, source, 1, 5), expected);
  expect_same_bits(whole.network(), second.network());
}

TEST(Trainer, RestoreListsEveryMisfit) {
  Trainer trainer = make_trainer(tiny_network());
  TrainerState state = trainer.state();
  state.tensors.erase("stem.0.weight.momentum");
  state.tensors["classifier.weight.momentum"] = Tensor<float>(channel_shape(3));
  try {
    trainer.restore(trainer.network(), state);
    FAIL() << "a state with a missing tensor was accepted";
  } catch (const DataError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("stem.0.weight.momentum is missing"), std::string::npos) << message;
    EXPECT_NE(message.find("classifier.weight.momentum is 1x1x1x3, wanted 4x1x1x8"), std::string::npos) << message;
  }
}

TEST(Trainer, DivergenceIsAnError) {
  Graph graph = tiny_network();
  Trainer trainer = make_trainer(graph);
  StripeSource source(160);
  source.start_epoch(0, 16, 0);
  try {
    for (int i = 0; i < 10; ++i) trainer.step(source.next(), {.learning_rate = 1e30});
    FAIL() << "a rate of 1e30 did not diverge";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("training diverged"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("learning_rate"), std::string::npos) << error.what();
  }
  ValueId id{};
  ASSERT_TRUE(graph.find("block.6.weight", id));
  graph.tensor(id)[3] = std::numeric_limits<float>::quiet_NaN();
  Trainer poisoned = make_trainer(graph);
  try {
    poisoned.step(source.next(), {.learning_rate = 0.1});
    FAIL() << "a NaN among the weights went unnoticed";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("block.6.weight"), std::string::npos) << error.what();
  }
}

TEST(Trainer, ClippingLimitsTheStep) {
  const Graph graph = tiny_network();
  StripeSource source(16);
  source.start_epoch(0, 16, 0);
  const LabelledBatch batch = source.next();
  Trainer trainer(graph, {}, parameter_groups(graph, {.optimizer = {.momentum = 0}, .weight_decay = 0}), 0);
  trainer.step(batch, {.learning_rate = 1, .gradient_clip = 0.01});
  ASSERT_GT(trainer.gradient_norm(), 0.01);
  const Graph after = trainer.network();
  double squares = 0;
  for (const ValueId id : trainable_parameters(graph)) {
    for (std::int64_t i = 0; i < graph.shape(id).count(); ++i) {
      const double moved = static_cast<double>(after.tensor(id)[i]) - graph.tensor(id)[i];
      squares += moved * moved;
    }
  }
  EXPECT_NEAR(std::sqrt(squares), 0.01, 1e-5);
}

TEST(Trainer, GroupsTellWeightsVectorsAndThresholds) {
  Graph graph = tiny_network();
  const ValueId alpha = graph.parameter("alpha", Tensor<float>(channel_shape(1), 4.0f));
  graph.set_output(graph.add("pact", Pact{.bits = 8, .is_signed = true}, {graph.output(), alpha}));
  const auto groups =
      parameter_groups(graph, {.weight_decay = 0.5, .decay_everything = false, .threshold_learning_rate_factor = 0.25});
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].name, "weights");
  EXPECT_EQ(groups[0].parameters.size(), 5u);
  EXPECT_EQ(groups[0].weight_decay, 0.5);
  EXPECT_EQ(groups[1].name, "vectors");
  EXPECT_EQ(groups[1].parameters.size(), 9u);  // four gammas, four betas, one bias
  EXPECT_EQ(groups[1].weight_decay, 0);
  EXPECT_EQ(groups[2].parameters, std::vector{alpha});
  EXPECT_EQ(groups[2].learning_rate_factor, 0.25);
  EXPECT_EQ(groups[2].weight_decay, 0);
}

TEST(Trainer, LearnsTheClipsOfAQuantizedGraph) {
  Graph graph = tiny_network();
  const ValueId alpha = graph.parameter("alpha", Tensor<float>(channel_shape(1), 0.25f));
  graph.set_output(graph.add("pact", Pact{.bits = 8, .is_signed = true}, {graph.output(), alpha}));
  Trainer trainer = make_trainer(graph);
  StripeSource source(320);
  const std::vector<double> curve = losses(trainer, source, 0, 20);
  ValueId id{};
  const Graph after = trainer.network();
  ASSERT_TRUE(after.find("alpha", id));
  EXPECT_GT(after.tensor(id)[0], 0.3f);  // logits want to leave [-0.25, 0.25]
  EXPECT_LT(curve.back(), curve.front());
}

TEST(Loss, ReadsTheLogitsBeforeASoftmax) {
  Graph graph = tiny_network();
  const ValueId logits = graph.output();
  graph.set_output(graph.add("probabilities", Softmax{}, {logits}));
  const Graph with = with_loss(graph, {.label_smoothing = 0.1});
  EXPECT_EQ(with.producer(with.output())->in[0], logits);
  EXPECT_EQ(with.inputs().size(), 2u);
}

/// The same training in double, SGD written out: the oracle of the recorded losses.
std::vector<double> losses_in_double(TrainingSource& source, int steps) {
  const Graph graph = with_loss(tiny_network(), {});
  Executor<double> executor(graph, {.mode = Mode::training});
  const std::vector<ValueId> trainable = trainable_parameters(graph);
  executor.want_gradients(trainable);
  std::vector<Tensor<double>> velocity;
  for (const ValueId id : trainable) velocity.emplace_back(graph.shape(id));
  std::vector<double> losses;
  source.start_epoch(0, 16);
  for (int step = 0; step < steps; ++step) {
    const LabelledBatch batch = source.next();
    const std::array<View<const float>, 2> inputs{batch.images, batch.labels};
    losses.push_back(executor.forward(inputs).data[0]);
    const double one = 1;
    executor.backward({&one, {1, 1, 1, 1}});
    for (std::size_t k = 0; k < trainable.size(); ++k) {
      const View<const double> gradient = executor.gradient(trainable[k]);
      const View<double> parameter = executor.update_parameter(trainable[k]);
      for (std::int64_t i = 0; i < gradient.count(); ++i) {
        velocity[k][i] = 0.9 * velocity[k][i] + gradient.data[i] + 1e-4 * parameter.data[i];
        parameter.data[i] -= kRate * velocity[k][i];
      }
    }
  }
  return losses;
}

// Recorded once, in double; a change means that initialisation, a gradient or the update changed.
TEST(Trainer, TenRecordedLosses) {
  const std::vector<double> recorded{1.387936007326, 1.379107775306, 1.335543328260, 1.290734678373, 1.240742499311,
                                     1.188542937409, 1.087308613228, 0.990269845818, 0.924027217328, 0.977326046081};
  StripeSource source(160);
  const std::vector<double> exact = losses_in_double(source, 10);
  Trainer trainer = make_trainer(tiny_network());
  const std::vector<double> curve = losses(trainer, source, 0, 10);
  ASSERT_EQ(curve.size(), recorded.size());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    EXPECT_NEAR(exact[i], recorded[i], 1e-9) << "step " << i;
    EXPECT_NEAR(curve[i], recorded[i], 1e-5) << "step " << i;
  }
}

}  // namespace
}  // namespace binade
