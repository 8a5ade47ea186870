// The table of networks, and what is common to building any of them.
#include "core/models/models.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"

namespace binade {
namespace {

/// Cityscapes at TI's smallest size.
constexpr Shape kStreet{1, 384, 768, 3};

constexpr ModelEntry kModels[] = {
    {.name = "mobilenet_v1",
     .summary = "MobileNetV1 as TI trains it: depthwise-separable, ReLU",
     .build = build_mobilenet_v1,
     .has_width = true},
    {.name = "mobilenet_v2",
     .summary = "MobileNetV2 as in torchvision: inverted residuals, ReLU6",
     .build = build_mobilenet_v2,
     .dropout = 0.2,
     .has_width = true},
    {.name = "mobilenet_v2_ti",
     .summary = "MobileNetV2 as TI trains it: ReLU, no dropout",
     .build = build_mobilenet_v2_ti,
     .has_width = true},
    {.name = "tiny_mobilenet",
     .summary = "inverted residuals for 64x64 images, trained in minutes",
     .build = build_tiny_mobilenet,
     .input = {1, 64, 64, 3},
     .classes = 10,
     .has_width = true},
    {.name = "resnet20",
     .summary = "ResNet20 for CIFAR: 3x3 convolutions, shortcuts without parameters",
     .build = build_resnet20,
     .input = {1, 32, 32, 3},
     .classes = 10},
    {.name = "resnet18", .summary = "ResNet18 as in torchvision", .build = build_resnet18},
    {.name = "resnet50",
     .summary = "ResNet50 as in torchvision: stride in the 3x3 convolution",
     .build = build_resnet50},
    {.name = "mobilenet_v2_deeplabv3lite",
     .summary = "segmentation: MobileNetV2 at stride 16, pyramid of dilations, one shortcut",
     .build = build_mobilenet_v2_deeplabv3lite,
     .input = kStreet,
     .classes = 19,
     .dropout = 0.2,
     .has_width = true,
     .rule = InputRule::centred,
     .task = Task::segmentation},
    {.name = "mobilenet_v2_unetlite",
     .summary = "segmentation: MobileNetV2, shortcuts joined at every stride",
     .build = build_mobilenet_v2_unetlite,
     .input = kStreet,
     .classes = 19,
     .dropout = 0.2,
     .has_width = true,
     .rule = InputRule::centred,
     .task = Task::segmentation},
    {.name = "mobilenet_v2_fpnlite",
     .summary = "segmentation: MobileNetV2, shortcuts added at strides 16, 8, 4",
     .build = build_mobilenet_v2_fpnlite,
     .input = kStreet,
     .classes = 19,
     .dropout = 0.2,
     .has_width = true,
     .rule = InputRule::centred,
     .task = Task::segmentation},
};

void check_range(const ModelEntry& entry, std::string_view what, double value, double lo, double hi) {
  if (value >= lo && value <= hi) return;
  throw UsageError(fmt::format("model '{}': {} is {}, must be from {} to {}", entry.name, what, value, lo, hi));
}

Preprocessing preprocessing_of(InputRule rule, const Shape& input) {
  Preprocessing preprocessing;
  preprocessing.crop_height = input.h;
  preprocessing.crop_width = input.w;
  const int crop = std::min(input.h, input.w);
  switch (rule) {
    case InputRule::imagenet:
      preprocessing.resize = crop < 100 ? Preprocessing::Resize::exact : Preprocessing::Resize::shrink;
      preprocessing.size = crop < 100 ? crop : crop * 256 / 224;
      preprocessing.mean = {123.675, 116.28, 103.53};
      preprocessing.scale = {1 / 58.395, 1 / 57.12, 1 / 57.375};
      break;
    case InputRule::centred:
      preprocessing.resize = Preprocessing::Resize::exact;
      preprocessing.size = crop;
      preprocessing.mean = {128, 128, 128};
      preprocessing.scale = {1.0 / 64, 1.0 / 64, 1.0 / 64};
      break;
  }
  return preprocessing;
}

}  // namespace

std::span<const ModelEntry> model_table() {
  return kModels;
}

const ModelEntry& find_model(std::string_view name) {
  return find_by_name("model", name, model_table());
}

Graph build_graph(const ModelEntry& entry, ModelOptions options) {
  if (options.classes <= 0) options.classes = entry.classes;
  if (options.dropout < 0) options.dropout = entry.dropout;
  if (options.input.h <= 0) options.input.h = entry.input.h;
  if (options.input.w <= 0) options.input.w = entry.input.w;
  if (options.input.c <= 0) options.input.c = entry.input.c;
  options.input.n = 1;
  check_range(entry, "width", options.width, 0.01, 16);
  check_range(entry, "dropout", options.dropout, 0, 0.99);
  check_range(entry, "classes", options.classes, 2, 1000000);
  check_range(entry, "input height", options.input.h, 32, 8192);
  check_range(entry, "input width", options.input.w, 32, 8192);
  if (options.width != 1 && !entry.has_width) {
    throw UsageError(fmt::format("model '{}' has no width factor (got {})", entry.name, options.width));
  }
  return entry.build(options);
}

Model build_model(std::string_view name, const ModelOptions& options) {
  const ModelEntry& entry = find_model(name);
  Model model;
  model.name = entry.name;
  model.graph = build_graph(entry, options);
  model.notes["source"] = fmt::format("zoo: {}", entry.summary);
  model.task = entry.task;
  model.preprocessing = preprocessing_of(entry.rule, model.graph.shape(model.graph.inputs().front()));
  return model;
}

}  // namespace binade
