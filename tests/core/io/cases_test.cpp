// Small networks after public bug reports, where their folder is: each gives the output that its README promises.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/execute/executor.hpp"
#include "core/formats/formats.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

std::vector<float> read_floats(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// The position of (n, c, h, w) in a batch of {h, w, c} images.
std::size_t nhwc(const Shape& s, int n, int c, int h, int w) {
  return static_cast<std::size_t>(((std::int64_t{n} * s.h + h) * s.w + w) * s.c + c);
}

/// Calls body(position in NCHW order, position in NHWC order) for every element of a batch.
template <class Body>
void for_each_element(int batch, const Shape& s, Body&& body) {
  std::size_t k = 0;
  for (int n = 0; n < batch; ++n)
    for (int c = 0; c < s.c; ++c)
      for (int h = 0; h < s.h; ++h)
        for (int w = 0; w < s.w; ++w) body(k++, nhwc(s, n, c, h, w));
}

class Case : public testing::TestWithParam<const char*> {};

TEST_P(Case, GivesTheOutputOfTheRuntimeThatMadeIt) {
  const fs::path folder = testing_tools::shared_dir() / "cases";
  const std::string name = GetParam();
  if (!fs::exists(folder / (name + ".onnx"))) GTEST_SKIP() << "no folder of cases beside the checkout";
  const Model model = load_model((folder / (name + ".onnx")).string());
  const std::vector<float> x = read_floats(folder / (name + ".x.f32")), y = read_floats(folder / (name + ".y.f32"));
  const Shape in = model.graph.shape(model.graph.inputs()[0]), out = model.graph.shape(model.graph.output());
  const auto batch = static_cast<int>(static_cast<std::int64_t>(x.size()) / in.count());
  Tensor<float> input(in.with_batch(batch));
  ASSERT_EQ(input.count(), static_cast<std::int64_t>(x.size()));
  for_each_element(batch, in, [&](std::size_t from, std::size_t to) { input.data()[to] = x[from]; });
  Executor<float> executor(model.graph);
  const View<const float> found = executor.forward(static_cast<const Tensor<float>&>(input).view());
  ASSERT_EQ(out.count() * batch, static_cast<std::int64_t>(y.size())) << to_string(out);
  float largest = 0, worst = 0;
  for_each_element(batch, out, [&](std::size_t file, std::size_t ours) {
    largest = std::max(largest, std::abs(y[file]));
    worst = std::max(worst, std::abs(y[file] - found.data[ours]));
  });
  EXPECT_LE(worst, 1e-5F * largest);
}

INSTANTIATE_TEST_SUITE_P(, Case,
                         testing::Values("flat_n1h1", "conv_to_column", "gather_channel", "bgr_gather", "focus",
                                         "reduce_sum_gap", "concat_constant", "conv1d_as_rank3", "upsample9",
                                         "softmax2d_legacy", "convt_outshape_more", "swap_matmul"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace binade
