// Training image by image: the loss and gradients of the whole batch, the same bits for any number of threads.
#include <gtest/gtest.h>

#include <mutex>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/ops/simd/quantize_gradient.hpp"

namespace binade {
namespace {

constexpr int kImages = 11, kClasses = 5;

Tensor<float> drawn(Shape shape, std::uint64_t seed, double reach = 1) {
  Tensor<float> tensor(shape);
  Random random(seed);
  for (float& x : tensor.span()) x = static_cast<float>(random.uniform(-reach, reach));
  return tensor;
}

/// A quantized network of two inputs (images, labels) and perhaps a third (the teacher's logits), with everything that
/// the pass may fuse: a clamp with Tqt, a Relu with FakeQuant, a sum with Tqt, and a value that two nodes read.
Graph network(bool distil, bool per_pixel, bool with_norm = false) {
  Graph g;
  const ValueId image = g.input("image", {1, 6, 6, 3});
  const Shape logits_shape = per_pixel ? Shape{1, 6, 6, kClasses} : Shape{1, 1, 1, kClasses};
  const ValueId labels = g.input("labels", {1, logits_shape.h, logits_shape.w, 1});
  const auto scalar = [&](const char* name, float value) {
    return g.parameter(name, Tensor<float>(channel_shape(1), value));
  };
  const auto conv = [&](const std::string& name, ValueId x, int oc, int k, std::uint64_t seed) {
    const ValueId w = g.parameter(name + ".w", drawn({oc, k, k, g.shape(x).c}, seed, 0.5));
    const ValueId b = g.parameter(name + ".b", drawn(channel_shape(oc), seed + 1, 0.3));
    const ValueId t = g.parameter(name + ".w.t", Tensor<float>(channel_shape(1), -0.5F));
    const ValueId q = g.add(name + ".w.q", Tqt{.bits = 4, .is_signed = true, .rounding = Rounding::half_away}, {w, t});
    return g.add(name, Conv2d{.pad_top = k / 2, .pad_left = k / 2, .pad_bottom = k / 2, .pad_right = k / 2}, {x, q, b});
  };
  const ValueId x = g.add("image.q", FakeQuant{.spec = {6, 8, true}}, {image});
  ValueId a = conv("a", x, 7, 3, 1);
  if (with_norm) {
    a = g.add("a.norm", BatchNorm{},
              {a, g.parameter("gamma", Tensor<float>(channel_shape(7), 1.0F)),
               g.parameter("beta", Tensor<float>(channel_shape(7), 0.0F)),
               g.parameter("mean", Tensor<float>(channel_shape(7), 0.0F)),
               g.parameter("variance", Tensor<float>(channel_shape(7), 1.0F))});
  }
  const ValueId clip = g.add("a.clip", Clip{.lo = 0, .hi = 1.5}, {a});
  const ValueId aq = g.add("a.q", Tqt{.bits = 4}, {clip, scalar("a.t", -0.2F)});
  const ValueId relu = g.add("b.relu", Relu{}, {conv("b", aq, 7, 1, 3)});
  const ValueId bq = g.add("b.q", FakeQuant{.spec = {3, 4, false}}, {relu});
  const ValueId sum = g.add("sum", Add{}, {aq, bq});
  const ValueId sq = g.add("sum.q", Tqt{.bits = 4}, {sum, scalar("sum.t", 0.4F)});
  const ValueId pooled = per_pixel ? sq : g.add("pool", GlobalAvgPool{}, {sq});
  const ValueId logits = conv("c", pooled, kClasses, 1, 5);
  std::vector<ValueId> entropy_in{logits, labels};
  if (per_pixel) {
    Tensor<float> weights(channel_shape(kClasses));
    for (int c = 0; c < kClasses; ++c) weights[c] = static_cast<float>(c + 1) / 2;
    entropy_in.push_back(g.parameter("class_weights.constant", weights));
  }
  ValueId loss = g.add("loss", CrossEntropy{.label_smoothing = 0.1}, entropy_in);
  if (distil) {
    const ValueId teacher = g.input("teacher", logits_shape);
    loss = g.add("distil", Distillation{.temperature = 2, .weight = 0.7}, {logits, teacher, loss});
  }
  g.set_output(loss);
  return g;
}

struct Batch {
  std::vector<Tensor<float>> tensors;
  std::vector<View<const float>> views() const {
    std::vector<View<const float>> all;
    for (const auto& tensor : tensors) all.push_back(tensor.view());
    return all;
  }
};

Batch batch_for(const Graph& graph) {
  Batch batch;
  for (const ValueId id : graph.inputs()) {
    batch.tensors.push_back(drawn(graph.shape(id).with_batch(kImages), 20 + index_of(id), 2));
  }
  Random random(3);
  for (float& label : batch.tensors[1].span()) {
    const auto drawn_label = static_cast<int>(random.uniform(0, kClasses));
    label =
        graph.shape(graph.inputs()[1]).h > 1 && random.uniform(0, 1) < 0.3 ? 255.0F : static_cast<float>(drawn_label);
  }
  return batch;
}

template <class T>
struct Found {
  T loss = 0;
  std::vector<std::vector<T>> gradients;
};

template <class T>
Found<T> step(const Graph& graph, const ExecutorOptions& options, Together together = Together::images,
              const Tap<T>& tap = {}) {
  Executor<T> executor(graph, options);
  const Batch batch = batch_for(graph);
  Found<T> found;
  for (int i = 0; i < 2; ++i) found.loss = executor.step(batch.views(), tap, together);  // the second meets used memory
  for (const ValueId id : graph.parameters()) {
    const auto gradient = executor.gradient(id).span();
    found.gradients.emplace_back(gradient.begin(), gradient.end());
  }
  return found;
}

/// All gradients, and that they are not all next to nothing.
void expect_near(const Graph& graph, const Found<double>& found, const Found<double>& wanted, double tolerance) {
  ASSERT_EQ(found.gradients.size(), wanted.gradients.size());
  double largest = 0;
  for (std::size_t p = 0; p < wanted.gradients.size(); ++p) {
    for (std::size_t i = 0; i < wanted.gradients[p].size(); ++i) {
      ASSERT_NEAR(found.gradients[p][i], wanted.gradients[p][i], tolerance)
          << graph.name(graph.parameters()[p]) << " element " << i;
      largest = std::max(largest, std::abs(wanted.gradients[p][i]));
    }
  }
  EXPECT_GT(largest, 0.01);
}

constexpr ExecutorOptions kTraining{.mode = Mode::training, .seed = 5};

TEST(DepthFirst, HasTheLossAndGradientsOfTheWholeBatch) {
  for (const bool distil : {false, true}) {
    for (const bool per_pixel : {false, true}) {
      const Graph graph = network(distil, per_pixel);
      const auto whole = step<double>(graph, kTraining, Together::batch);
      for (const int piece : {1, 3}) {
        ExecutorOptions options = kTraining;
        options.piece = piece;
        const auto deep = step<double>(graph, options);
        EXPECT_NEAR(deep.loss, whole.loss, 1e-12);
        expect_near(graph, deep, whole, 1e-12);
      }
    }
  }
}

TEST(DepthFirst, GivesTheSameBitsForAnyThreadsFusedOrNotTappedOrNot) {
  const Graph graph = network(true, true);
  set_thread_count(1);
  const auto wanted = step<float>(graph, kTraining);
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    const auto found = step<float>(graph, kTraining);
    EXPECT_EQ(found.loss, wanted.loss) << threads;
    EXPECT_EQ(found.gradients, wanted.gradients) << threads;
  }
  ExecutorOptions plain = kTraining;
  plain.fuse = false;
  EXPECT_EQ(step<float>(graph, plain).gradients, wanted.gradients);
  std::mutex mutex;
  std::vector<int> seen(kImages, 0);
  ValueId clip{};
  ASSERT_TRUE(graph.find("a.clip", clip));
  const auto tapped =
      step<float>(graph, kTraining, Together::images, [&](ValueId id, View<const float> view, int first) {
        if (id != clip) return;
        const std::lock_guard lock(mutex);
        for (int i = 0; i < view.shape.n; ++i) ++seen[static_cast<std::size_t>(first + i)];
      });
  set_thread_count(0);
  EXPECT_EQ(tapped.gradients, wanted.gradients);
  EXPECT_EQ(seen, std::vector<int>(kImages, 2)) << "every image once in each of two steps";
}

TEST(DepthFirst, FusedWholeBatchesGiveTheBitsOfTheOps) {
  ExecutorOptions plain = kTraining;
  plain.fuse = false;
  for (const bool with_norm : {false, true}) {
    const Graph graph = network(false, true, with_norm);
    const auto fused = step<float>(graph, kTraining, Together::batch), ops = step<float>(graph, plain, Together::batch);
    EXPECT_EQ(fused.loss, ops.loss);
    EXPECT_EQ(fused.gradients, ops.gradients);
  }
}

/// Two residual blocks with batch norm: norms whose results are added, read twice, clamped; a sum that a later stage
/// reads again; a norm right after the input; a pool between stages.
Graph network_of_stages(double dropout = 0) {
  Graph g;
  const ValueId image = g.input("image", {1, 8, 8, 3}), labels = g.input("labels", {1, 1, 1, 1});
  std::uint64_t seed = 50;
  const auto norm = [&](const std::string& name, ValueId x, double gamma) {
    const int c = g.shape(x).c;
    Tensor<float> scale = drawn(channel_shape(c), ++seed, 0.3);
    for (float& s : scale.span()) s += static_cast<float>(gamma);
    return g.add(name, BatchNorm{},
                 {x, g.parameter(name + ".gamma", std::move(scale)),
                  g.parameter(name + ".beta", drawn(channel_shape(c), ++seed, 0.5)),
                  g.parameter(name + ".mean", drawn(channel_shape(c), ++seed, 0.1)),
                  g.parameter(name + ".variance", Tensor<float>(channel_shape(c), 1.0F))});
  };
  const auto conv = [&](const std::string& name, ValueId x, int oc, int k, int stride = 1, bool depthwise = false) {
    const ValueId w = g.parameter(name + ".w", drawn({oc, k, k, depthwise ? 1 : g.shape(x).c}, ++seed, 0.4));
    return g.add(name,
                 Conv2d{.stride_h = stride,
                        .stride_w = stride,
                        .pad_top = k / 2,
                        .pad_left = k / 2,
                        .pad_bottom = k / 2,
                        .pad_right = k / 2,
                        .groups = depthwise ? oc : 1},
                 {x, w});
  };
  const ValueId x = norm("in", image, 1);
  const ValueId a = g.add("a.clip", Clip{.lo = 0, .hi = 1.2}, {norm("a", conv("a.conv", x, 8, 3), 1)});
  ValueId b = g.add("b.relu", Relu{}, {norm("b", conv("b.conv", a, 8, 3, 1, true), 1)});
  if (dropout > 0) b = g.add("b.dropout", Dropout{.probability = dropout}, {b});
  const ValueId c = norm("c", conv("c.conv", b, 8, 1), 1);
  const ValueId sum = g.add("sum", Add{}, {a, c});  // a: of an earlier stage
  const ValueId d = norm("d", conv("d.conv", sum, 8, 1), 1);
  const ValueId both = g.add("both", Add{}, {sum, d});
  const ValueId e = g.add("e.relu", Relu{}, {both});
  const ValueId shortcut = norm("s", conv("s.conv", e, 12, 1, 2), 1);
  const ValueId f = norm("f", conv("f.conv", e, 12, 3, 2), 1);
  const ValueId pooled = g.add("pool", MaxPool{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2},
                               {g.add("join", Add{}, {f, shortcut})});
  const ValueId h = g.add("h.relu", Relu{}, {norm("h", conv("h.conv", pooled, 6, 1), 1)});
  const ValueId logits = conv("logits", g.add("mean", GlobalAvgPool{}, {h}), kClasses, 1);
  g.add("unread", Linear{},
        {g.add("softmax", Softmax{}, {logits}), g.parameter("unread.w", drawn({2, 1, 1, kClasses}, 9))});
  g.set_output(g.add("loss", CrossEntropy{}, {logits, labels}));
  return g;
}

TEST(DepthFirst, GoesThroughStagesWhereBatchStatisticsCutTheNetwork) {
  for (const Graph& graph : {network_of_stages(), network(false, true, true), network(true, true, true)}) {
    const auto whole = step<double>(graph, kTraining, Together::batch);
    for (const int piece : {1, 2}) {
      ExecutorOptions options = kTraining;
      options.piece = piece;
      const auto deep = step<double>(graph, options);
      EXPECT_NEAR(deep.loss, whole.loss, 1e-12);
      expect_near(graph, deep, whole, 1e-11);
    }
    set_thread_count(1);
    const auto wanted = step<float>(graph, kTraining);
    for (const int threads : {2, 5}) {
      set_thread_count(threads);
      const auto found = step<float>(graph, kTraining);
      EXPECT_EQ(found.loss, wanted.loss) << threads;
      EXPECT_EQ(found.gradients, wanted.gradients) << threads;
    }
    set_thread_count(0);
  }
}

TEST(DepthFirst, DropsTheSameOnTheWayBack) {
  const Graph graph = network_of_stages(0.5);
  set_thread_count(1);
  const auto wanted = step<float>(graph, kTraining);
  set_thread_count(3);
  const auto found = step<float>(graph, kTraining);
  EXPECT_EQ(found.loss, wanted.loss);
  EXPECT_EQ(found.gradients, wanted.gradients);
  // Against central differences of the same step.
  const Batch batch = batch_for(graph);
  ValueId w{};
  ASSERT_TRUE(graph.find("b.conv.w", w));
  const auto loss_at = [&](double move) {
    Executor<double> executor(graph, kTraining);
    executor.update_parameter(w).data[3] += move;
    return executor.step(batch.views());
  };
  Executor<double> executor(graph, kTraining);
  executor.step(batch.views());
  const double h = 1e-5;
  EXPECT_NEAR(executor.gradient(w).data[3], (loss_at(h) - loss_at(-h)) / (2 * h), 1e-7);
  set_thread_count(0);
}

TEST(DepthFirst, MovesRunningStatisticsAsTheWholeBatchDoes) {
  const Graph graph = network_of_stages();
  Executor<double> deep(graph, kTraining), whole(graph, kTraining);
  const Batch batch = batch_for(graph);
  for (int i = 0; i < 2; ++i) {
    deep.step(batch.views());
    whole.step(batch.views(), {}, Together::batch);
  }
  for (const ValueId id : graph.parameters()) {
    for (std::int64_t i = 0; i < deep.parameter(id).count(); ++i) {
      ASSERT_NEAR(deep.parameter(id).data[i], whole.parameter(id).data[i], 1e-13) << graph.name(id);
    }
  }
}

TEST(DepthFirst, FollowsNormsThatAreFrozen) {
  Graph graph = network_of_stages();
  Executor<double> deep(graph, kTraining), whole(graph, kTraining);
  const Batch batch = batch_for(graph);
  const auto same = [&] {
    EXPECT_NEAR(deep.step(batch.views()), whole.step(batch.views(), {}, Together::batch), 1e-12);
    ValueId w{};
    ASSERT_TRUE(graph.find("b.conv.w", w));
    for (std::int64_t i = 0; i < graph.shape(w).count(); ++i) {
      EXPECT_NEAR(deep.gradient(w).data[i], whole.gradient(w).data[i], 1e-11);
    }
  };
  same();
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (!std::holds_alternative<BatchNorm>(graph.nodes()[i].op)) continue;
    for (Executor<double>* executor : {&deep, &whole}) {
      executor->set_attributes(static_cast<int>(i), BatchNorm{.frozen = true});
    }
    same();  // with one norm fewer on batch statistics each time
  }
}

TEST(DepthFirst, HandsOnWhatAThreadThrows) {
  const Graph graph = network(false, false);
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    Executor<float> executor(graph, kTraining);
    Batch batch = batch_for(graph);
    batch.tensors[1][4] = 77;  // no class
    EXPECT_THROW(executor.step(batch.views()), DataError);
    batch.tensors[1][4] = 1;
    EXPECT_GT(executor.step(batch.views()), 0) << "and goes on";
  }
  set_thread_count(0);
}

TEST(DepthFirst, TakesTheMemoryOfAPiece) {
  const Graph graph = network(false, true);
  const Batch batch = batch_for(graph);
  set_thread_count(1);
  Executor<float> deep(graph, kTraining), whole(graph, kTraining);
  deep.step(batch.views());
  whole.step(batch.views(), {}, Together::batch);
  set_thread_count(0);
  EXPECT_LT(deep.activation_bytes(), whole.activation_bytes() / 3);
}

TEST(QuantizeGradient, KernelsGiveTheSameBitsOnEveryInstructionSet) {
#if defined(__x86_64__)
  Random random(8);
  for (const std::int64_t n : {1, 5, 16, 31, 512, 513, 3000}) {
    std::vector<float> x(static_cast<std::size_t>(n)), y = x, dy = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(random.uniform(-3, 3));
      y[i] = static_cast<float>(random.uniform(-3, 3));
      dy[i] = static_cast<float>(random.uniform(-1, 1));
    }
    x[0] = 2;  // on a limit: does not pass
    for (const bool add : {false, true}) {
      const auto all = [&](simd::QuantizeGradientKernel kernel) {
        std::vector<float> dx(x.size(), 0.25F);
        const simd::QuantizeGradient sweep{x.data(), y.data(), dy.data(), dx.data(), add, -1.5F, 2, -2.5F, 1.75F, n};
        const double sum = kernel(sweep, true), none = kernel(sweep, false);
        return std::tuple(dx, sum, none);
      };
      const auto wanted = all(simd::quantize_gradient_portable);
      EXPECT_EQ(std::get<0>(wanted)[0], add ? 0.25F : 0.0F);
      EXPECT_EQ(std::get<2>(wanted), 0);
      if (detected_isa() >= Isa::avx2) {
        EXPECT_EQ(all(simd::quantize_gradient_avx2), wanted) << n;
      }
      if (detected_isa() >= Isa::avx512) {
        EXPECT_EQ(all(simd::quantize_gradient_avx512), wanted) << n;
      }
    }
  }
#endif
}

}  // namespace
}  // namespace binade
