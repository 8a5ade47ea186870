// Real networks from ONNX files against the outputs and activation ranges that their origin's framework gave.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <mutex>

#include <nlohmann/json.hpp>

#include "core/execute/executor.hpp"
#include "core/io/hdf5.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

const fs::path kWeights = testing_tools::shared_data() / "weights";

/// The file's NCHW numbers as NHWC; a matrix [n, c] becomes {n, 1, 1, c}.
Tensor<float> from_nchw(const H5Array<float>& array) {
  const auto at = [&](std::size_t i) { return i < array.dims.size() ? static_cast<int>(array.dims[i]) : 1; };
  Tensor<float> tensor(Shape{at(0), at(2), at(3), at(1)});
  const Shape s = tensor.shape();
  std::int64_t from = 0;
  for (int n = 0; n < s.n; ++n) {
    for (int c = 0; c < s.c; ++c) {
      for (int y = 0; y < s.h; ++y) {
        for (int x = 0; x < s.w; ++x, ++from) {
          tensor[((std::int64_t{n} * s.h + y) * s.w + x) * s.c + c] = array.elements[static_cast<std::size_t>(from)];
        }
      }
    }
  }
  return tensor;
}

/// Every step-th pixel, as `scores_stride8` was cut.
template <class T>
Tensor<T> thinned(View<const T> view, int step) {
  const Shape s = view.shape;
  Tensor<T> out(Shape{s.n, (s.h + step - 1) / step, (s.w + step - 1) / step, s.c});
  std::int64_t to = 0;
  for (int n = 0; n < s.n; ++n) {
    for (int y = 0; y < s.h; y += step) {
      for (int x = 0; x < s.w; x += step) {
        for (int c = 0; c < s.c; ++c) out[to++] = view.data[((std::int64_t{n} * s.h + y) * s.w + x) * s.c + c];
      }
    }
  }
  return out;
}

struct Range {
  double lo = INFINITY, hi = -INFINITY;
};

/// The range of every value over a batch, by name.
class RangeTap {
 public:
  explicit RangeTap(const Graph& graph) : graph_(graph) {}
  template <class T>
  Tap<T> tap() {
    return [this](ValueId id, View<const T> view, int) {
      const auto [lo, hi] = std::minmax_element(view.span().begin(), view.span().end());
      const std::lock_guard lock(mutex_);
      Range& range = ranges_[graph_.name(id)];
      range.lo = std::min(range.lo, static_cast<double>(*lo));
      range.hi = std::max(range.hi, static_cast<double>(*hi));
    };
  }
  const std::map<std::string, Range>& ranges() const { return ranges_; }

 private:
  const Graph& graph_;
  std::mutex mutex_;
  std::map<std::string, Range> ranges_;
};

std::vector<std::string> networks() {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kWeights, error)) {
    if (entry.path().extension() == ".onnx") found.push_back(entry.path().stem().string());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) found.push_back("absent");
  return found;
}

struct Comparison {
  double difference = 0, largest = 0;
  double relative() const { return difference / largest; }
};

template <class T>
Comparison compare(View<const T> actual, const Tensor<float>& wanted) {
  EXPECT_EQ(actual.shape, wanted.shape());
  Comparison result;
  for (std::int64_t i = 0; i < wanted.count(); ++i) {
    const double difference = std::abs(static_cast<double>(actual.data[i]) - static_cast<double>(wanted[i]));
    // Written so that a NaN becomes the difference instead of vanishing in max().
    if (!(difference <= result.difference)) result.difference = difference;
    result.largest = std::max(result.largest, std::abs(static_cast<double>(wanted[i])));
  }
  return result;
}

/// Denormals count as zero here; the origin kept them.
double without_denormals(double x) {
  return std::abs(x) < static_cast<double>(std::numeric_limits<float>::min()) ? 0 : x;
}

/// Compares the recorded ranges; returns how many names were in both lists.
int compare_ranges(const nlohmann::json& wanted, const std::map<std::string, Range>& actual, const Graph& graph,
                   double tolerance) {
  int compared = 0;
  for (const auto& [name, range] : wanted.items()) {
    const auto found = actual.find(name);
    if (found == actual.end()) continue;
    ++compared;
    const double lo = without_denormals(range[0].get<double>()), hi = without_denormals(range[1].get<double>());
    const double scale = std::max(std::abs(lo), std::abs(hi));
    EXPECT_NEAR(found->second.lo, lo, tolerance * scale) << name;
    EXPECT_NEAR(found->second.hi, hi, tolerance * scale) << name;
  }
  // Every node of ours that is named in the file was compared.
  for (const Node& node : graph.nodes()) {
    if (wanted.contains(node.name)) {
      EXPECT_TRUE(actual.contains(node.name)) << node.name;
    }
  }
  return compared;
}

template <class T>
void run_network(const std::string& name, double tolerance) {
  const Model model = import_onnx(kWeights / (name + ".onnx"), {.class_offset = 0});
  const Hdf5File golden(kWeights / (name + ".golden.h5"));
  const Tensor<float> input = from_nchw(golden.read<float>("/input"));
  RangeTap ranges(model.graph);
  Executor<T> executor(model.graph);
  const View<const T> output = executor.forward(input.view(), ranges.tap<T>());
  const bool dense = golden.contains("/scores_stride8");
  const Tensor<float> wanted = from_nchw(golden.read<float>(dense ? "/scores_stride8" : "/logits"));
  const Tensor<T> actual = dense ? thinned(output, 8) : Tensor<T>(output.shape, output.span());
  const Comparison result = compare(actual.view(), wanted);
  EXPECT_LT(result.relative(), tolerance);
  const auto json = nlohmann::json::parse(golden.read_text("/activation_ranges_json"));
  const int compared = compare_ranges(json, ranges.ranges(), model.graph, 1e-4);
  EXPECT_GE(compared, static_cast<int>(json.size()) * 9 / 10) << "names were lost";
  std::cout << std::left << std::setw(38) << name << (sizeof(T) == 4 ? " float " : " double") << " largest "
            << std::setw(9) << result.largest << " max difference " << std::setw(12) << result.difference
            << " relative " << std::setw(12) << result.relative() << " ranges " << compared << "/" << json.size()
            << "\n";
}

class OnnxGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!fs::exists(kWeights)) GTEST_SKIP() << kWeights << " is not here";
  }
};

TEST_P(OnnxGolden, FloatEqualsTheOrigin) {
  run_network<float>(GetParam(), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Networks, OnnxGolden, testing::ValuesIn(networks()), [](const auto& network) {
  std::string name = network.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(OnnxGoldenDouble, EqualsTheOrigin) {
  if (!fs::exists(kWeights)) GTEST_SKIP() << kWeights << " is not here";
  run_network<double>("resnet20_cifar10", 1e-5);
}

TEST(OnnxGoldenModel, MetadataIsRead) {
  if (!fs::exists(kWeights)) GTEST_SKIP() << kWeights << " is not here";
  const Model mobilenet = import_onnx(kWeights / "mobilenet_v2_1.0_224_torchvision.onnx");
  EXPECT_EQ(mobilenet.task, Task::classification);
  EXPECT_EQ(mobilenet.preprocessing.resize, Preprocessing::Resize::shrink);
  EXPECT_EQ(mobilenet.preprocessing.size, 256);
  EXPECT_NEAR(mobilenet.preprocessing.mean[0], 0.485 * 255, 1e-9);
  EXPECT_NEAR(mobilenet.preprocessing.scale[2], 1 / (0.225 * 255), 1e-12);
  EXPECT_FALSE(mobilenet.notes.contains("preprocessing"));
  const Model espnet = import_onnx(kWeights / "espnet_p2_q8_camvid.onnx");
  EXPECT_EQ(espnet.task, Task::segmentation);
  EXPECT_EQ(espnet.preprocessing.color, Preprocessing::Color::bgr);
  EXPECT_EQ(espnet.preprocessing.resize, Preprocessing::Resize::exact);
  EXPECT_NEAR(espnet.preprocessing.mean[0], 111.52589565, 1e-9);
  EXPECT_NEAR(espnet.preprocessing.scale[0], 1 / (79.07815836 * 255), 1e-12);
  const Model words = import_onnx(kWeights / "mlperf_tiny_kws_dscnn.onnx");
  EXPECT_EQ(words.preprocessing.color, Preprocessing::Color::gray);
  EXPECT_NEAR(words.preprocessing.mean[0], 83, 1e-9);
  EXPECT_NEAR(words.preprocessing.scale[0], 0.5847029, 1e-12);
  ASSERT_EQ(words.classes.size(), 12u);
  EXPECT_EQ(words.classes[11], "Unknown");
  const Model persons = import_onnx(kWeights / "mlperf_tiny_vww_mobilenetv1_0.25_96.onnx");
  EXPECT_EQ(persons.classes, (std::vector<std::string>{"non_person", "person"}));
}

}  // namespace
}  // namespace binade
