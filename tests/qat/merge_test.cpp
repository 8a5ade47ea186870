// TI's batch norm in training: merged and folded are the same network, and the gradient is the float path's.
#include <cmath>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/passes/load_weights.hpp"
#include "core/passes/measure_batch_norm.hpp"
#include "qat/qat.hpp"
#include "tests/qat/small_quantized.hpp"

namespace binade {
namespace {

/// Trained a little, so that the running statistics mean something.
const Graph& trained() {
  static const Graph network = [] {
    StripeSource source(160);
    return train(tiny_network(), source, {.epochs = 3, .batch = 16, .schedule = {.learning_rate = 0.1}}).network;
  }();
  return network;
}

std::vector<float> output(const Graph& graph, const Tensor<float>& images, Mode mode = Mode::inference) {
  Executor<float> executor(graph, {.mode = mode});
  const View<const float> view = executor.forward(images.view());
  return {view.data, view.data + view.count()};
}

Graph with_frozen_norms(Graph graph, bool frozen) {
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (!std::holds_alternative<BatchNorm>(graph.nodes()[i].op)) continue;
    BatchNorm norm = std::get<BatchNorm>(graph.nodes()[i].op);
    norm.frozen = frozen;
    graph.set_attributes(static_cast<int>(i), norm);
  }
  return graph;
}

TEST(Merge, MergedAndFoldedAreTheSameBits) {
  const Tensor<float> images = stripe_images(8, 5);
  for (const int bias_bits : {8, 32}) {
    const Graph quantized = small_quantized(trained(), 8, 8, bias_bits);
    const Graph merged = merged_training_graph(quantized, trained());
    const std::vector<float> wanted = output(quantized, images);
    EXPECT_EQ(output(merged, images), wanted);
    EXPECT_EQ(output(with_frozen_norms(merged, true), images, Mode::training), wanted);
    const Graph frozen = frozen_graph(merged);
    EXPECT_EQ(output(frozen, images), wanted);
    ASSERT_EQ(frozen.nodes().size(), quantized.nodes().size());
    for (const Node& node : quantized.nodes()) {
      ValueId twin{};
      ASSERT_TRUE(frozen.find(node.name, twin)) << node.name;
      EXPECT_EQ(frozen.producer(twin)->op, node.op) << node.name;
    }
    for (const ValueId id : quantized.parameters()) {
      ValueId twin{};
      ASSERT_TRUE(frozen.find(quantized.name(id), twin)) << quantized.name(id);
      EXPECT_EQ(frozen.tensor(twin), quantized.tensor(id)) << quantized.name(id);
    }
  }
}

TEST(Merge, WhatPtqDidToTheParametersIsKept) {
  Graph quantized = small_quantized(trained(), 6, 8);
  for (const QuantizerSite& site : quantizer_sites(quantized)) {
    if (site.role == QuantizerRole::activation) continue;
    Tensor<float>& values = quantized.tensor(site.value);
    const auto& fake = std::get<FakeQuant>(quantized.nodes()[static_cast<std::size_t>(site.node)].op);
    for (float& v : values.span()) v = fake_quantize(v, fake.spec, fake.rounding);  // the snap of iteration 0
    if (site.role == QuantizerRole::bias) values[0] += 0.25f;
  }
  const Graph frozen = frozen_graph(merged_training_graph(quantized, trained()));
  for (const ValueId id : quantized.parameters()) {
    ValueId twin{};
    ASSERT_TRUE(frozen.find(quantized.name(id), twin)) << quantized.name(id);
    for (std::int64_t i = 0; i < quantized.tensor(id).count(); ++i) {
      EXPECT_NEAR(frozen.tensor(twin)[i], quantized.tensor(id)[i], 2e-6) << quantized.name(id);
    }
  }
}

// On grids that are fine everywhere the straight-through gradient is the gradient: that of the float network whose
// statistics stand still, and that of batch statistics where they move.
TEST(Merge, TheGradientIsTheFloatPaths) {
  const Tensor<float> images = stripe_images(16, 5);
  const Graph fine = small_quantized(trained(), 16, 16);
  SpecMap specs = quantizer_specs(fine);
  for (auto& [name, spec] : specs) spec.frac = static_cast<std::int8_t>(spec.frac - 2);  // nothing is clipped
  const Graph roomy = with_specs(fine, specs, {});
  for (const bool frozen : {true, false}) {
    const Graph network = with_frozen_norms(trained(), frozen);
    const Graph merged = with_frozen_norms(merged_training_graph(roomy, trained()), frozen);
    Executor<float> a(network, {.mode = Mode::training}), b(merged, {.mode = Mode::training});
    Tensor<float> dout({16, 1, 1, 4});
    for (std::int64_t i = 0; i < dout.count(); ++i) dout[i] = static_cast<float>(i % 7) - 3;
    a.forward(images.view());
    a.backward(dout.view());
    b.forward(images.view());
    b.backward(dout.view());
    // The last batch norm's: what lies in front sees inputs of other statistics unless these are frozen.
    ValueId in_a{}, in_b{};
    ASSERT_TRUE(network.find("block.7.weight", in_a) && merged.find("block.7.weight", in_b));
    const View<const float> wanted = a.gradient(in_a), found = b.gradient(in_b);
    double difference = 0, size = 0;
    for (std::int64_t i = 0; i < wanted.count(); ++i) {
      difference += std::pow(wanted.data[i] - found.data[i], 2);
      size += std::pow(wanted.data[i], 2);
    }
    EXPECT_LT(std::sqrt(difference / size), frozen ? 2e-3 : 0.5);
    EXPECT_GT(std::sqrt(size), 1);
  }
}

TEST(Merge, LearnsFreezesItsStatisticsAndContinues) {
  const Graph start = small_quantized(trained(), 4, 4);
  QatOptions options = qat_presets()[1].make(4, 4);
  options.graph.merge = true;
  options.train.epochs = 6;
  options.train.batch = 16;
  options.train.schedule.learning_rate = 0.01;
  options.train.checkpoint_steps = 4;
  options.train.loss_jump = 0;
  StripeSource source(160, 40);
  std::vector<TrainCheckpoint> at;
  const QatCallbacks callbacks{
      .on_checkpoint = [&](const TrainCheckpoint& state, std::span<const TelemetryRow>) { at.push_back(state); }};
  const QatResult whole = quantization_aware_train(start, trained(), source, options, callbacks);
  EXPECT_LT(whole.checkpoint.metrics.back().loss, whole.checkpoint.metrics.front().loss);
  const auto mean = [](const Graph& network) {
    ValueId id{};
    EXPECT_TRUE(network.find("block.7.running_mean", id));
    return network.tensor(id);
  };
  // Six epochs: statistics stand still from the third on (index 2).
  ASSERT_EQ(at.size(), 19U);
  EXPECT_FALSE(mean(at[4].network) == mean(at[6].network));
  EXPECT_TRUE(mean(at[6].network) == mean(at[18].network));
  for (const std::size_t stop : {1u, 6u, 14u}) {
    const QatResult again = quantization_aware_train(start, trained(), source, options, {}, &at[stop]);
    for (const ValueId id : whole.quantized.parameters()) {
      EXPECT_EQ(again.quantized.tensor(id), whole.quantized.tensor(id)) << whole.quantized.name(id);
    }
    EXPECT_TRUE(again.checkpoint.trainer.observer.text == whole.checkpoint.trainer.observer.text);
  }
}

/// The trained network folded, its batch norms put back as identities: what a folded file gives.
Graph with_identities() {
  LoadedWeights loaded;
  const Graph identities = load_weights(tiny_network(), fold_batch_norm(trained()), {}, loaded);
  EXPECT_EQ(identity_batch_norms(identities), loaded.identities);
  EXPECT_EQ(loaded.identities.size(), 4U);
  EXPECT_TRUE(identity_batch_norms(trained()).empty());
  return identities;
}

// Batch statistics would normalise an identity away: gamma and beta take what the first batch shows.
TEST(Merge, IdentitiesOfAFoldedNetworkCanBeTrained) {
  const Graph network = with_identities();
  const Graph start = small_quantized(network, 8, 8);
  QatOptions options = qat_presets()[1].make(8, 8);
  options.train.epochs = 6;
  options.train.batch = 32;
  options.train.loss_jump = 0;
  StripeSource source(160, 40);
  const QatResult result = quantization_aware_train(start, network, source, options);
  const Tensor<float> images = stripe_images(64, 8);
  const std::vector<float> wanted = output(network, images), found = output(result.quantized, images);
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    signal += std::pow(wanted[i], 2);
    noise += std::pow(wanted[i] - found[i], 2);
  }
  EXPECT_GT(10 * std::log10(signal / noise), 10);
}

// Thirty steps of which the 20th finds biases on their codes; weights' grids move to the end, activations' do not.
TEST(Merge, TiWritesBiasesBackOnceAndFreezesActivationsOnly) {
  QatOptions options = qat_presets()[1].make(8, 8);
  EXPECT_EQ(options.watch.bias_write_back_step, 85);
  EXPECT_TRUE(options.graph.uncap_relu);
  options.train.epochs = 3;
  options.train.batch = 16;
  options.train.schedule.learning_rate = 1e-12;  // nothing moves but what TI's schedule moves
  options.train.update.weight_decay = 0;
  options.train.checkpoint_steps = 1;
  options.train.loss_jump = 0;
  options.watch.bias_write_back_step = 20;
  StripeSource source(160, 40);
  std::vector<Graph> at;
  const QatCallbacks callbacks{.on_checkpoint = [&](const TrainCheckpoint& state, std::span<const TelemetryRow>) {
    at.push_back(state.network);
  }};
  quantization_aware_train(small_quantized(trained(), 8, 8, 8), trained(), source, options, callbacks);
  const auto off_codes = [](const Graph& network) {
    int found = 0;
    for (const BiasSite& site : bias_sites(network)) {
      const auto& fake = std::get<FakeQuant>(network.nodes()[static_cast<std::size_t>(site.node)].op);
      const Tensor<float> bias =
          merged_value(network, site.bias, [&](ValueId id) { return network.tensor(id).view(); });
      for (const float b : bias.span())
        found += std::abs(fake_quantize(b, fake.spec, fake.rounding) - b) > 1e-6F ? 1 : 0;
    }
    return found;
  };
  ASSERT_GT(at.size(), 25U);
  EXPECT_GT(off_codes(at[19]), 10);
  EXPECT_EQ(off_codes(at[20]), 0);
}

TEST(Merge, StatisticsCanBeMadeAnew) {
  Graph merged = merged_training_graph(small_quantized(trained(), 8, 8), trained());
  const auto find = [&](const char* name) {
    ValueId id{};
    EXPECT_TRUE(merged.find(name, id));
    return id;
  };
  // The first layer sees the images alone: its statistics are the mean over the batches, whatever they were before.
  for (float& m : merged.tensor(find("stem.1.running_mean")).span()) m = 100;
  StripeSource source(64, 9);
  const Graph fresh = with_reestimated_statistics(merged, source, 5, 16, 4);
  std::vector<double> wanted(8);
  source.start_epoch(5, 16, 0);
  for (int k = 0; k < 4; ++k) {
    Executor<float> executor(merged, {.mode = Mode::training});
    executor.forward(source.next().images, [&](ValueId id, View<const float> view, int) {
      if (id != find("stem.0.float")) return;
      for (std::int64_t i = 0; i < view.count(); ++i) {
        wanted[static_cast<std::size_t>(i % 8)] += static_cast<double>(view.data[i]) / view.shape.pixels() / 4;
      }
    });
  }
  for (int c = 0; c < 8; ++c) {
    EXPECT_NEAR(fresh.tensor(find("stem.1.running_mean"))[c], wanted[static_cast<std::size_t>(c)], 1e-5);
  }
  EXPECT_EQ(fresh.tensor(find("stem.0.weight.own")), merged.tensor(find("stem.0.weight.own")));
}

TEST(Merge, SaysWhatCannotBeMerged) {
  const Graph quantized = small_quantized(trained(), 8, 8);
  const Graph nothing_to_merge = merged_training_graph(quantized, fold_batch_norm(trained()));
  EXPECT_EQ(nothing_to_merge.nodes().size(), quantized.nodes().size());
  Graph rescaled = quantized;
  for (const QuantizerSite& site : quantizer_sites(quantized)) {
    if (site.role != QuantizerRole::weights) continue;
    for (float& w : rescaled.tensor(site.value).span()) w *= 4;
  }
  EXPECT_THROW(merged_training_graph(rescaled, trained()), UsageError);
  StripeSource source(100);
  QatOptions options = qat_presets()[0].make(8, 8);
  options.graph.merge = true;
  EXPECT_THROW(quantization_aware_train(quantized, trained(), source, options), UsageError);
}

}  // namespace
}  // namespace binade
