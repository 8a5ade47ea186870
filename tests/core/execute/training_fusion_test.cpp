// Training with batch norm and clamp in one sweep gives the bits of the two ops, and less memory.
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/cpu.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/models/models.hpp"
#include "core/ops/simd/normalize.hpp"

namespace binade {
namespace {

struct TrainingResult {
  Tensor<float> out;
  std::vector<Tensor<float>> gradients, running;
  std::size_t bytes = 0;
};

Tensor<float> copied(View<const float> view) {
  return {view.shape, view.span()};
}

/// Two steps, since the second one meets used buffers.
TrainingResult train(const Graph& graph, bool fuse) {
  Executor<float> executor(graph, {.mode = Mode::training, .seed = 3, .fuse = fuse});
  const Shape shape = graph.shape(graph.inputs()[0]).with_batch(3);
  Tensor<float> images(shape);
  TrainingResult result;
  for (int step = 0; step < 2; ++step) {
    Random random(9, static_cast<std::uint64_t>(step));
    for (float& v : images.span()) v = static_cast<float>(random.uniform(-2, 2));
    result.out = copied(executor.forward(images.view()));
    Tensor<float> dout(result.out.shape());
    for (float& v : dout.span()) v = static_cast<float>(random.uniform(-1, 1));
    executor.backward(std::as_const(dout).view());
  }
  for (const ValueId id : graph.parameters()) {
    result.gradients.push_back(copied(executor.gradient(id)));
    result.running.push_back(copied(executor.parameter(id)));
  }
  result.bytes = executor.activation_bytes();
  return result;
}

void expect_same(const std::vector<Tensor<float>>& a, const std::vector<Tensor<float>>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::int64_t k = 0; k < a[i].count(); ++k) ASSERT_EQ(a[i][k], b[i][k]) << what << " of parameter " << i;
  }
}

TEST(TrainingFusion, GivesTheBitsOfTheOps) {
  for (const char* name : {"tiny_mobilenet", "resnet20"}) {
    const Graph graph = build_graph(find_model(name));
    const TrainingResult fused = train(graph, true), plain = train(graph, false);
    EXPECT_EQ(std::memcmp(fused.out.data(), plain.out.data(), static_cast<std::size_t>(plain.out.count()) * 4), 0);
    expect_same(fused.gradients, plain.gradients, "gradient");
    expect_same(fused.running, plain.running, "running statistics");
    EXPECT_LT(fused.bytes, plain.bytes) << name;
  }
}

TEST(TrainingFusion, KernelsGiveTheSameBitsOnEveryInstructionSet) {
#if defined(__x86_64__)
  Random random(5);
  for (const int channels : {1, 3, 8, 16, 17, 40, 96}) {
    const std::int64_t pixels = 70;
    const auto vec = [&](std::int64_t n) {
      std::vector<float> v(static_cast<std::size_t>(n));
      for (float& x : v) x = static_cast<float>(random.uniform(-2, 2));
      return v;
    };
    const auto x = vec(pixels * channels), dy = vec(pixels * channels), scale = vec(channels), shift = vec(channels),
               center = vec(channels), a = vec(channels), b = vec(channels), c = vec(channels);
    const simd::NormalizeSweep sweep{x.data(), dy.data(), scale.data(), shift.data(), -0.5f, 1.0f, pixels, channels};
    const auto all = [&](const simd::NormalizeKernels& kernels) {
      std::vector<float> y(x.size()), dx = dy;
      std::vector<double> sums(static_cast<std::size_t>(4 * channels));
      kernels.apply(sweep, y.data());
      kernels.sum(sweep, center.data(), sums.data());
      kernels.squares(sweep, center.data(), sums.data() + channels);
      kernels.gradient_sums(sweep, center.data(), sums.data() + 2 * channels);
      kernels.gradient(sweep, a.data(), b.data(), c.data(), true, dx.data());
      return std::tuple(y, dx, sums);
    };
    const auto wanted = all(simd::normalize_portable);
    if (detected_isa() >= Isa::avx2) {
      EXPECT_EQ(all(simd::normalize_avx2), wanted) << channels;
    }
    if (detected_isa() >= Isa::avx512) {
      EXPECT_EQ(all(simd::normalize_avx512), wanted) << channels;
    }
  }
#endif
}

}  // namespace
}  // namespace binade
