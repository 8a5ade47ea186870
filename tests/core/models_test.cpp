// The zoo against published counts, and the builder's initial parameters.
#include "core/models/models.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/graph/builder.hpp"
#include "core/graph/count.hpp"
#include "core/graph/executor.hpp"

namespace binade {
namespace {

struct Published {
  std::string_view name;
  std::int64_t parameters, convolution_macs, total_macs;
};

// Parameters: torchvision's documentation (ImageNet networks) and the sum over the paper's table (resnet20: 0.27 M).
// MACs: [ti-semantics 6.4]; torchvision's documentation rounds the ResNets' to 1.81 and 4.09 G;
// resnet20: 16 * 27 * 1024 + 6 * 2304 * 1024 + 50688 * 256 + 202752 * 64, + 640.
constexpr Published kPublished[] = {
    {"mobilenet_v1", 4231976, 567716352, 568740352},    {"mobilenet_v2", 3504872, 299494272, 300774272},
    {"mobilenet_v2_ti", 3504872, 299494272, 300774272}, {"resnet18", 11689512, 1813561344, 1814073344},
    {"resnet50", 25557032, 4087136256, 4089184256},     {"resnet20", 269722, 40550400, 40551040},
};

// [ti-semantics 6.4], convolutions only.
constexpr std::pair<std::string_view, std::int64_t> kSegmentationMacs[] = {
    {"mobilenet_v2_deeplabv3lite", 3545358336},
    {"mobilenet_v2_unetlite", 2204264448},
    {"mobilenet_v2_fpnlite", 3767298048},
};

TEST(Models, CountsAreThePublishedOnes) {
  for (const Published& published : kPublished) {
    const Graph graph = build_graph(find_model(published.name));
    EXPECT_EQ(count_parameters(graph), published.parameters) << published.name;
    EXPECT_EQ(count_macs(graph).convolutions, published.convolution_macs) << published.name;
    EXPECT_EQ(count_macs(graph).total(), published.total_macs) << published.name;
  }
}

TEST(Models, SegmentationMacsAreThoseOfTheDefinition) {
  for (const auto& [name, macs] : kSegmentationMacs) {
    const Graph graph = build_graph(find_model(name));
    EXPECT_EQ(count_macs(graph).total(), macs) << name;
  }
}

/// [ti-semantics B]: the layers of a decoder, in order, in thousands of multiply-accumulates.
TEST(Models, UnetLiteHasTheLayersOfItsDefinition) {
  const Graph graph = build_graph(find_model("mobilenet_v2_unetlite"));
  std::vector<std::int64_t> macs;
  for (const Node& node : graph.nodes()) {
    if (node.name.starts_with("decoder.") && count_macs(graph, node) > 0) macs.push_back(count_macs(graph, node));
  }
  EXPECT_EQ(macs, (std::vector<std::int64_t>{23592960, 829440, 23592960, 829440, 23592960, 829440, 23592960, 75497472,
                                             3649536, 38928384, 5308416, 22413312, 10285056, 43425792, 35831808,
                                             151289856, 25214976, 53231616}));
}

TEST(Models, EveryNetworkHasTheShapesOfItsTableLine) {
  std::set<std::string_view> names;
  for (const ModelEntry& entry : model_table()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name << " is listed twice";
    EXPECT_FALSE(entry.summary.empty()) << entry.name;
    const Graph graph = build_graph(entry);
    ASSERT_EQ(graph.inputs().size(), 1u) << entry.name;
    EXPECT_EQ(graph.shape(graph.inputs()[0]), entry.input) << entry.name;
    const bool pixels = entry.task == Task::segmentation;
    EXPECT_EQ(graph.shape(graph.output()),
              (Shape{1, pixels ? entry.input.h : 1, pixels ? entry.input.w : 1, entry.classes}))
        << entry.name;
    EXPECT_EQ(without_dead_nodes(graph).nodes().size(), graph.nodes().size()) << entry.name << " has dead nodes";
  }
}

TEST(Models, OptionsChangeWhatTheySay) {
  const Graph half = build_graph(find_model("mobilenet_v2"), {.width = 0.5, .classes = 7, .input = {1, 96, 128, 3}});
  EXPECT_EQ(half.shape(half.output()), (Shape{1, 1, 1, 7}));
  EXPECT_EQ(half.shape(half.inputs()[0]), (Shape{1, 96, 128, 3}));
  // torchvision, mobilenet_v2(width_mult=0.5): 1,968,680 with 1000 classes.
  EXPECT_EQ(count_parameters(half), 1968680 - 993 * 1281);
  EXPECT_THROW(build_graph(find_model("resnet18"), {.width = 0.5}), UsageError);
  EXPECT_THROW(build_graph(find_model("mobilenet_v2"), {.dropout = 1.5}), UsageError);
  EXPECT_THROW(build_graph(find_model("mobilenet_v2"), {.input = {1, 3, 224, 3}}), UsageError);
}

TEST(Models, ASegmentationNetworkTakesAnyExtents) {
  for (const ModelEntry& entry : model_table()) {
    if (entry.task != Task::segmentation) continue;
    const Graph graph = build_graph(entry, {.classes = 11, .input = {1, 90, 130, 3}});
    EXPECT_EQ(graph.shape(graph.output()), (Shape{1, 90, 130, 11})) << entry.name;
    Executor<float> executor(graph);
    Tensor<float> image({1, 90, 130, 3});
    for (std::int64_t i = 0; i < image.count(); ++i) image[i] = static_cast<float>(std::sin(0.1 * i));
    const View<const float> logits = executor.forward(image.view());
    EXPECT_TRUE(std::all_of(logits.span().begin(), logits.span().end(), [](float v) { return std::isfinite(v); }));
  }
}

TEST(Models, UnknownNameNamesTheNearestAndAll) {
  try {
    find_model("mobilnet_v2");
    FAIL() << "an unknown model was found";
  } catch (const UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("did you mean 'mobilenet_v2'?"), std::string::npos) << message;
    for (const ModelEntry& entry : model_table()) EXPECT_NE(message.find(entry.name), std::string::npos) << message;
  }
}

TEST(Models, ParametersBearTorchsNames) {
  const Graph graph = build_graph(find_model("mobilenet_v2"));
  ValueId id{};
  for (const char* name : {"features.0.0.weight", "features.1.conv.0.0.weight", "features.1.conv.2.running_var",
                           "features.17.conv.3.bias", "features.18.1.weight", "classifier.1.bias"}) {
    EXPECT_TRUE(graph.find(name, id)) << name;
    EXPECT_TRUE(graph.is_parameter(id)) << name;
  }
  const Graph resnet = build_graph(find_model("resnet18"));
  for (const char* name :
       {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight", "layer4.1.conv2.weight"}) {
    EXPECT_TRUE(resnet.find(name, id)) << name;
  }
}

TEST(Models, PreprocessingFitsTheInput) {
  for (const ModelEntry& entry : model_table()) {
    const Model model = build_model(entry.name);
    EXPECT_EQ(model.preprocessing.crop_height, entry.input.h);
    EXPECT_EQ(model.preprocessing.crop_width, entry.input.w);
    EXPECT_GE(model.preprocessing.size, entry.input.h);
  }
  EXPECT_EQ(build_model("resnet18").preprocessing.size, 256);
}

TEST(Builder, ScalesChannelsByTheAuthorsRule) {
  EXPECT_EQ(scaled_channels(32, 1), 32);
  EXPECT_EQ(scaled_channels(32, 0.75), 24);
  EXPECT_EQ(scaled_channels(24, 0.75), 24);  // 18 would round to 16, below 90 %
  EXPECT_EQ(scaled_channels(16, 0.35), 8);
  EXPECT_EQ(scaled_channels(1280, 1.4), 1792);
}

TEST(Builder, InitialParametersFollowTheirDistribution) {
  Builder net(3);
  const ValueId x = net.input("x", {1, 8, 8, 32});
  const ValueId conv = net.conv("conv", x, {.channels = 64, .kernel = 3, .bias = true});
  const ValueId norm = net.batch_norm("norm", conv);
  const ValueId wide = net.depthwise("depthwise", norm, 3, 2);
  const Graph graph = std::move(net).finish(wide);
  const auto deviation = [&](const char* name) {
    ValueId id{};
    EXPECT_TRUE(graph.find(name, id)) << name;
    double sum = 0, squares = 0;
    for (const float w : graph.tensor(id).span()) {
      sum += w;
      squares += static_cast<double>(w) * w;
    }
    const auto n = static_cast<double>(graph.shape(id).count());
    EXPECT_NEAR(sum / n, 0, 4 * std::sqrt(squares / n / n)) << name;
    return std::sqrt(squares / n);
  };
  const double expected = std::sqrt(2.0 / (9 * 64));
  EXPECT_NEAR(deviation("conv.weight"), expected, 0.03 * expected);       // 18432 draws: 3 % is 5.8 deviations
  EXPECT_NEAR(deviation("depthwise.weight"), expected, 0.12 * expected);  // 576 draws: 4 deviations
  ValueId id{};
  ASSERT_TRUE(graph.find("norm.running_var", id));
  EXPECT_EQ(graph.tensor(id)[5], 1.0f);
  ASSERT_TRUE(graph.find("conv.bias", id));
  EXPECT_EQ(graph.tensor(id)[5], 0.0f);
}

TEST(Builder, AParameterDependsOnSeedAndNameOnly) {
  const auto weight = [](std::uint64_t seed, bool with_another) {
    Builder net(seed);
    ValueId x = net.input("x", {1, 8, 8, 4});
    if (with_another) x = net.conv("first", x, {.channels = 4});
    const Graph graph = std::move(net).finish(net.conv("conv", x, {.channels = 4}));
    ValueId id{};
    EXPECT_TRUE(graph.find("conv.weight", id));
    return graph.tensor(id);
  };
  EXPECT_EQ(weight(1, false), weight(1, true));
  EXPECT_NE(weight(1, false), weight(2, false));
}

}  // namespace
}  // namespace binade
