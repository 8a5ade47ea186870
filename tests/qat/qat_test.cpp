// Whole runs of quantization-aware training: they learn, they can be continued, they notice what goes wrong.
#include "qat/qat.hpp"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/execute/executor.hpp"
#include "qat/checkpoint.hpp"
#include "tests/qat/small_quantized.hpp"

namespace binade {
namespace {

const Graph& trained() {
  static const Graph network = [] {
    StripeSource source(320);
    const TrainOptions options{.epochs = 4, .batch = 16, .schedule = {.learning_rate = 0.1}};
    return train(tiny_network(), source, options).network;
  }();
  return network;
}

QatOptions options_for(const std::string& quantizer) {
  QatOptions options = qat_presets()[0].make(3, 4);
  options.train.epochs = 4;
  options.train.batch = 16;
  options.train.schedule = {.learning_rate = 0.005};
  options.train.seed = 3;
  options.train.checkpoint_steps = 4;
  options.graph.quantizer = quantizer;
  options.watch.oscillation = {.freeze_above = 0.02, .release_below = 0.01};
  return options;
}

/// Of the softmax from the float network's, on images that nobody was trained on.
double divergence(const Graph& network) {
  const Tensor<float> images = stripe_images(64, 123);
  Executor<float> a(trained()), b(network);
  const std::vector<View<const float>> in{b.forward(images.view()), a.forward(images.view())};
  Tensor<float> sum(channel_shape(1));
  OpState state;
  binade::forward(Distillation{}, Forward<float>{.in = in, .out = sum.view(), .state = state});
  return static_cast<double>(sum[0]);
}

void expect_same(const QatResult& a, const QatResult& b) {
  ASSERT_EQ(a.quantized.nodes().size(), b.quantized.nodes().size());
  for (std::size_t i = 0; i < a.quantized.nodes().size(); ++i) {
    EXPECT_EQ(a.quantized.nodes()[i].op, b.quantized.nodes()[i].op);
  }
  for (const ValueId id : a.checkpoint.network.parameters()) {
    EXPECT_EQ(a.checkpoint.network.tensor(id), b.checkpoint.network.tensor(id)) << a.checkpoint.network.name(id);
  }
  EXPECT_EQ(a.checkpoint.trainer.tensors, b.checkpoint.trainer.tensors);
  EXPECT_TRUE(a.checkpoint.trainer.observer.text == b.checkpoint.trainer.observer.text);
  EXPECT_EQ(a.checkpoint.trainer.observer.tensors, b.checkpoint.trainer.observer.tensors);
  EXPECT_TRUE(telemetry_csv(a.telemetry) == telemetry_csv(b.telemetry));
}

TEST(Qat, EveryQuantizerLearnsToFollowTheFloatNetwork) {
  const Graph start = small_quantized(trained(), 3, 4);
  const double before = divergence(start);
  for (const QuantizerKind& kind : quantizer_kinds()) {
    SCOPED_TRACE(kind.name);
    StripeSource source(320, 50);
    const QatResult result = quantization_aware_train(start, trained(), source, options_for(std::string(kind.name)));
    EXPECT_LT(divergence(result.quantized), 0.7 * before);
  }
}

TEST(Qat, ContinuedFromDiskAtAnyStepOnOtherThreadsEqualsNeverStopped) {
  const int threads = thread_count();
  const Graph start = small_quantized(trained(), 3, 4);
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "qat_test_checkpoint.h5";
  const Model model{.name = "tiny", .graph = trained()};
  for (const char* quantizer : {"tqt", "pact-ema", "pact", "lsq"}) {
    SCOPED_TRACE(quantizer);
    StripeSource source(100, 50);
    const QatOptions options = options_for(quantizer);
    set_thread_count(2);
    int checkpoints = 0;
    const QatResult whole = quantization_aware_train(
        start, trained(), source, options,
        {.on_checkpoint = [&](const TrainCheckpoint&, std::span<const TelemetryRow>) { ++checkpoints; }});
    EXPECT_EQ(checkpoints, 9);
    for (const int stop : {0, 3, 6, 8}) {
      SCOPED_TRACE(stop);
      int at = 0;
      quantization_aware_train(start, trained(), source, options,
                               {.on_checkpoint = [&](const TrainCheckpoint& state, std::span<const TelemetryRow>) {
                                 if (at++ == stop) save_training(model, state, path);
                               }});
      const SavedTraining saved = load_training(path);
      set_thread_count(stop % 2 == 0 ? 1 : 5);
      expect_same(quantization_aware_train(start, trained(), source, options, {}, &saved.checkpoint), whole);
    }
  }
  set_thread_count(threads);
  std::filesystem::remove(path);
}

TEST(Qat, TelemetryNamesEveryQuantizerAndWarnsOfFlips) {
  const Graph start = small_quantized(trained(), 3, 4);
  StripeSource source(320, 50);
  QatOptions options = options_for("tqt");
  options.watch.sample_steps = 5;
  options.train.loss_jump = 0;
  options.threshold_learning_rate = 0.5;  // across half an exponent in every step
  const QatResult result = quantization_aware_train(start, trained(), source, options);
  ASSERT_EQ(result.telemetry.size(), 16U * 13);  // 80 steps; 8 activations and 5 weights
  int flips = 0, held = 0;
  for (const TelemetryRow& row : result.telemetry) {
    const bool is_image = row.tensor == start.name(start.inputs()[0]);
    EXPECT_TRUE(row.exponent && row.learned.has_value() != is_image) << row.tensor;
    EXPECT_TRUE(row.clip_rate >= 0 && row.clip_rate <= 1);
    flips += row.flips;
    held += row.held ? 1 : 0;
  }
  EXPECT_GT(flips, 10);
  EXPECT_GT(held, 0);
  ASSERT_FALSE(result.warnings.empty());
  bool named = false;
  for (const std::string& warning : result.warnings) {
    named = named || warning.find("its exponent changed 4 times within 100 steps, now held at") != std::string::npos;
  }
  EXPECT_TRUE(named) << result.warnings[0];
  options.watch.hold_flips = 0;
  for (const TelemetryRow& row : quantization_aware_train(start, trained(), source, options).telemetry) {
    EXPECT_FALSE(row.held);
  }
}

TEST(Qat, TrainingRunsTheNetworkThatIsFrozen) {
  const Graph start = small_quantized(trained(), 4, 4);
  StripeSource source(160, 50);
  const QatResult result = quantization_aware_train(start, trained(), source, options_for("tqt"));
  const Tensor<float> images = stripe_images(16, 9);
  Executor<float> frozen(result.quantized), training(result.checkpoint.network, {.mode = Mode::training});
  const View<const float> a = frozen.forward(images.view()), b = training.forward(images.view());
  EXPECT_TRUE(std::equal(a.data, a.data + a.count(), b.data));
}

TEST(Qat, OtherSettingsAreNotContinued) {
  const Graph start = small_quantized(trained(), 4, 4);
  StripeSource source(100, 50);
  QatOptions options = options_for("tqt");
  options.train.epochs = 1;
  const QatResult at = quantization_aware_train(start, trained(), source, options);
  options.threshold_learning_rate = 0.5;
  options.watch.hold_flips = 9;
  try {
    quantization_aware_train(start, trained(), source, options, {}, &at.checkpoint);
    FAIL() << "other settings were accepted";
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("threshold_learning_rate: was 0.001, now 0.5"), std::string::npos) << message;
    EXPECT_NE(message.find("hold_flips: was 4, now 9"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace binade
