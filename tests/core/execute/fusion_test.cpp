// Inference with nodes fused into steps gives the bits of the ops run one by one, whatever is tapped, cut or threaded.
#include <gtest/gtest.h>

#include <cstring>
#include <mutex>
#include <set>

#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/execute/steps.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/quantizers.hpp"

namespace binade {
namespace {

Tensor<float> random_tensor(Shape shape, std::uint64_t seed, double scale = 1) {
  Tensor<float> tensor(shape);
  Random random(seed);
  for (float& x : tensor.span()) x = static_cast<float>(random.uniform(-scale, scale));
  return tensor;
}

/// Every node by its op's own forward, the whole batch together.
std::vector<Tensor<float>> run_ops(const Graph& graph, const Tensor<float>& images) {
  std::vector<Tensor<float>> values(graph.values().size());
  values[index_of(graph.inputs()[0])] = images;
  for (const ValueId id : graph.parameters()) values[index_of(id)] = graph.tensor(id);
  for (const Node& node : graph.nodes()) {
    std::vector<View<const float>> in;
    std::vector<Shape> shapes;
    for (const ValueId id : node.in) {
      in.push_back(std::as_const(values[index_of(id)]).view());
      shapes.push_back(in.back().shape);
    }
    Tensor<float>& out = values[index_of(node.out)];
    out.resize(binade::infer(node.op, shapes));
    OpState state;
    const Forward<float> forward{.in = in, .out = out.view(), .state = state};
    binade::forward(node.op, forward);
  }
  return values;
}

bool same_bits(View<const float> a, View<const float> b) {
  return a.shape == b.shape && std::memcmp(a.data, b.data, static_cast<std::size_t>(a.count()) * sizeof(float)) == 0;
}

void expect_same_everywhere(const Graph& graph, std::uint64_t seed) {
  const Tensor<float> images = random_tensor(graph.shape(graph.inputs()[0]).with_batch(5), seed, 3);
  const std::vector<Tensor<float>> wanted = run_ops(graph, images);
  const View<const float> out = wanted[index_of(graph.output())].view();
  for (const int piece : {1, 2, 5}) {
    for (const int threads : {1, 2, 5}) {
      set_thread_count(threads);
      Executor<float> executor(graph, {.piece = piece});
      EXPECT_TRUE(same_bits(executor.forward(images.view()), out)) << "piece " << piece << ", threads " << threads;
      std::mutex mutex;
      std::set<ValueId> seen;
      const Tap<float> tap = [&](ValueId id, View<const float> view, int first) {
        const std::lock_guard lock(mutex);
        seen.insert(id);
        EXPECT_TRUE(same_bits(view, wanted[index_of(id)].view().images(first, view.shape.n))) << graph.name(id);
      };
      EXPECT_TRUE(same_bits(executor.forward(images.view(), tap), out)) << "tapped";
      for (const Node& node : graph.nodes()) {
        const bool constant =
            std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return graph.is_parameter(id); });
        EXPECT_TRUE(constant || seen.contains(node.out)) << "the tap did not see " << node.name;
      }
    }
  }
  set_thread_count(0);
}

/// A chain after each kind of convolution: some of FakeQuant, Add, Relu or Clip, FakeQuant, in this order or not.
Graph random_graph(std::uint64_t seed) {
  Random random(seed);
  Graph graph;
  const int channels = 1 + static_cast<int>(random.below(40));
  std::vector<ValueId> same{graph.input("x", {1, 7, 9, channels})};  // values of this one shape
  const auto pick = [&] { return same[random.below(same.size())]; };
  const auto name = [&](const char* kind) { return graph.unique_name(kind); };
  const auto weights = [&](Shape shape) {
    return graph.parameter(name("w"), random_tensor(shape, random.next(), 0.5));
  };
  for (int i = 0; i < 14; ++i) {
    ValueId from = pick();
    switch (random.below(4)) {
      case 0:
        from = graph.add(name("pointwise"), Conv2d{},
                         {from, weights({channels, 1, 1, channels}), weights({1, 1, 1, channels})});
        break;
      case 1:
        from = graph.add(name("depthwise"),
                         Conv2d{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .groups = channels},
                         {from, weights({channels, 3, 3, 1})});
        break;
      case 2:
        from = graph.add(name("dense"), Conv2d{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1},
                         {from, weights({channels, 3, 3, channels})});
        break;
      default: break;
    }
    for (std::uint64_t n = random.below(5); n > 0; --n) {
      switch (random.below(5)) {
        case 0: from = graph.add(name("relu"), Relu{}, {from}); break;
        case 1: from = graph.add(name("clip"), Clip{.lo = -0.25, .hi = 0.75}, {from}); break;
        case 2:
          from = graph.add(name("quant"), FakeQuant{.spec = {.frac = 3, .bits = 5, .is_signed = true}}, {from});
          break;
        case 3:
          from = graph.add(
              name("even"),
              FakeQuant{.spec = {.frac = 4, .bits = 8, .is_signed = false}, .rounding = Rounding::half_even}, {from});
          break;
        default: from = graph.add(name("add"), Add{}, {pick(), from}); break;
      }
    }
    same.push_back(from);
  }
  graph.set_output(same.back());
  return without_dead_nodes(graph);
}

TEST(Fusion, RandomGraphsGiveTheBitsOfTheirOps) {
  for (std::uint64_t seed = 0; seed < 25 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_same_everywhere(random_graph(seed), seed);
  }
}

Graph quantized(const Graph& graph) {
  SpecMap specs;
  for (const ValueId id : quantized_values(graph)) specs[graph.name(id)] = {.frac = 4, .bits = 8, .is_signed = true};
  for (const ValueId id : quantized_weights(graph)) specs[graph.name(id)] = {.frac = 7, .bits = 8, .is_signed = true};
  return insert_quantizers(graph, specs, {});
}

TEST(Fusion, NetworksGiveTheBitsOfTheirOps) {
  for (const char* model : {"mobilenet_v2", "resnet18"}) {
    SCOPED_TRACE(model);
    const Graph graph = fold_batch_norm(build_graph(find_model(model), {.classes = 10, .input = {1, 32, 32, 3}}));
    expect_same_everywhere(graph, 1);
    expect_same_everywhere(quantized(graph), 2);
  }
}

TEST(Fusion, MobileNetRunsOneStepPerConvolution) {
  const Graph graph = quantized(fold_batch_norm(build_graph(find_model("mobilenet_v2"))));
  std::vector<bool> constant(graph.values().size(), false);
  for (const ValueId id : graph.parameters()) constant[index_of(id)] = true;
  for (const Node& node : graph.nodes()) {
    constant[index_of(node.out)] =
        std::all_of(node.in.begin(), node.in.end(), [&](ValueId id) { return constant[index_of(id)]; });
  }
  int convolutions = 0, sweeps = 0;
  for (const Step& step : plan_steps(graph, constant, true)) {
    convolutions += step.kind == Step::Kind::convolution ? 1 : 0;
    sweeps += step.kind == Step::Kind::sweep ? 1 : 0;
  }
  EXPECT_EQ(convolutions, 53);  // 52 and the classifier
  EXPECT_EQ(sweeps, 2);         // the input's quantizer, and the one after the mean
}

TEST(Fusion, NewParametersAreSeen) {
  Graph graph;
  const ValueId x = graph.input("x", {1, 1, 1, 2});
  const ValueId w = graph.parameter("w", random_tensor({3, 1, 1, 2}, 1));
  const ValueId q = graph.add("q", FakeQuant{.spec = {.frac = 4}}, {w});
  graph.set_output(graph.add("relu", Relu{}, {graph.add("y", Conv2d{}, {x, q})}));
  Executor<float> executor(graph);
  const Tensor<float> image({1, 1, 1, 2}, 1.0F);
  executor.forward(image.view());
  const std::vector<float> fresh{1, 2, 3, 4, -5, 0};
  executor.set_parameter(w, fresh);
  const View<const float> y = executor.forward(image.view());
  EXPECT_EQ(y.data[0], 3);
  EXPECT_EQ(y.data[1], 7);
  EXPECT_EQ(y.data[2], 0);
}

}  // namespace
}  // namespace binade
