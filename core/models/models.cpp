// The table of networks, and what is common to building any of them.
#include "core/models/models.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"

namespace binade {
namespace {

constexpr Shape kImageNet{1, 224, 224, 3};

constexpr std::array<ModelEntry, 7> kModels{{
    {"mobilenet_v1", "MobileNetV1 as TI trains it: depthwise-separable, ReLU", kImageNet, 1000, 0, true,
     build_mobilenet_v1},
    {"mobilenet_v2", "MobileNetV2 as in torchvision: inverted residuals, ReLU6", kImageNet, 1000, 0.2, true,
     build_mobilenet_v2},
    {"mobilenet_v2_ti", "MobileNetV2 as TI trains it: ReLU, no dropout", kImageNet, 1000, 0, true,
     build_mobilenet_v2_ti},
    {"tiny_mobilenet",
     "inverted residuals for 64x64 images, trained in minutes",
     {1, 64, 64, 3},
     10,
     0,
     true,
     build_tiny_mobilenet},
    {"resnet20",
     "ResNet20 for CIFAR: 3x3 convolutions, shortcuts without parameters",
     {1, 32, 32, 3},
     10,
     0,
     false,
     build_resnet20},
    {"resnet18", "ResNet18 as in torchvision", kImageNet, 1000, 0, false, build_resnet18},
    {"resnet50", "ResNet50 as in torchvision: stride in the 3x3 convolution", kImageNet, 1000, 0, false,
     build_resnet50},
}};

void check_range(const ModelEntry& entry, std::string_view what, double value, double lo, double hi) {
  if (value >= lo && value <= hi) return;
  throw UsageError(fmt::format("model '{}': {} is {}, must be from {} to {}", entry.name, what, value, lo, hi));
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
  const Shape input = model.graph.shape(model.graph.inputs().front());
  Preprocessing& preprocessing = model.preprocessing;
  const int crop = std::min(input.h, input.w);
  preprocessing.resize = crop < 100 ? Preprocessing::Resize::exact : Preprocessing::Resize::shrink;
  preprocessing.size = crop < 100 ? crop : crop * 256 / 224;
  preprocessing.crop_height = input.h;
  preprocessing.crop_width = input.w;
  preprocessing.mean = {123.675, 116.28, 103.53};
  preprocessing.scale = {1 / 58.395, 1 / 57.12, 1 / 57.375};
  return model;
}

}  // namespace binade
