// The zoo: networks by name, built from their definition with random parameters.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/graph/graph.hpp"
#include "core/model/model.hpp"

namespace binade {

/// What may vary about a network of the zoo. Zero (or negative) means the value of the table.
struct ModelOptions {
  std::uint64_t seed = 0;  ///< seed of the initial parameters
  bool random = true;      ///< false: weights are zeros, enough to count them, and quick
  double width = 1;        ///< factor on the channels, for networks that have one
  int classes = 0;
  Shape input{1, 0, 0, 0};
  double dropout = -1;  ///< probability before the classifier, or in the decoder
};

/// How the original implementation turns images (0..255, RGB) into inputs.
enum class InputRule : std::uint8_t {
  imagenet,    ///< minus ImageNet's mean, divided by its deviation
  tensorflow,  ///< x / 127.5 - 1
  caffe,       ///< BGR, minus ImageNet's mean
  unit,        ///< x / 255
  raw,         ///< unchanged
  street,      ///< (x - 128) / 64, the whole image stretched to the input: TI's segmentation networks
};

struct ModelEntry {
  std::string_view name, summary;
  /// Every option must be set; build_graph() sets those that are not.
  Graph (*build)(const ModelOptions&);
  Shape input{1, 224, 224, 3};  ///< n = 1
  int classes = 1000;
  double dropout = 0;
  bool has_width = false;
  int smallest = 32;  ///< height and width
  /// Whether the original implementation counts running statistics as parameters, as Keras does.
  bool counts_statistics = false;
  InputRule rule = InputRule::imagenet;
  Task task = Task::classification;
};

/// By family, then size.
std::span<const ModelEntry> model_table();

/// @throws UsageError for an unknown name, with all known ones and the nearest
const ModelEntry& find_model(std::string_view name);

/// Parameters as the original implementation counts them, which is what its papers and pages print.
std::int64_t published_parameters(const ModelEntry& entry, const Graph& graph);

/// The network with the table's values for the options that are not set.
/// @throws UsageError for a width that the network does not have, or an option out of its range
Graph build_graph(const ModelEntry& entry, ModelOptions options = {});

/// The same with everything else that a model has: preprocessing, task, names.
Model build_model(std::string_view name, const ModelOptions& options = {});

// The builders, one file per family.
Graph build_mobilenet_v1(const ModelOptions& options);
Graph build_mobilenet_v2(const ModelOptions& options);
Graph build_mobilenet_v2_ti(const ModelOptions& options);
Graph build_mobilenet_v3lite_small(const ModelOptions& options);
Graph build_mobilenet_v3lite_large(const ModelOptions& options);
Graph build_tiny_mobilenet(const ModelOptions& options);
Graph build_resnet18(const ModelOptions& options);
Graph build_resnet20(const ModelOptions& options);
Graph build_resnet50(const ModelOptions& options);
Graph build_regnet_x_400mf(const ModelOptions& options);
Graph build_regnet_x_800mf(const ModelOptions& options);
Graph build_regnet_x_1_6gf(const ModelOptions& options);
Graph build_regnet_x_3_2gf(const ModelOptions& options);
Graph build_squeezenet1_1(const ModelOptions& options);
Graph build_mobilenet_v1_keras(const ModelOptions& options);
Graph build_inception_v3(const ModelOptions& options);
Graph build_resnet50_keras(const ModelOptions& options);
Graph build_resnet101_keras(const ModelOptions& options);
Graph build_resnet152_keras(const ModelOptions& options);
Graph build_vgg16(const ModelOptions& options);
Graph build_vgg19(const ModelOptions& options);
Graph build_mlperf_resnet8(const ModelOptions& options);
Graph build_mlperf_dscnn(const ModelOptions& options);
Graph build_mlperf_mobilenet_v1(const ModelOptions& options);
Graph build_mlperf_autoencoder(const ModelOptions& options);
Graph build_fc_0(const ModelOptions& options);
Graph build_fc_1(const ModelOptions& options);
Graph build_fc_2(const ModelOptions& options);
Graph build_fc_3(const ModelOptions& options);
Graph build_cnn_0(const ModelOptions& options);
Graph build_cnn_1(const ModelOptions& options);
Graph build_cnn_2(const ModelOptions& options);
Graph build_cnn_3(const ModelOptions& options);
Graph build_mobilenet_v2_deeplabv3lite(const ModelOptions& options);
Graph build_mobilenet_v2_unetlite(const ModelOptions& options);
Graph build_mobilenet_v2_fpnlite(const ModelOptions& options);
Graph build_regnet_x_800mf_fpnlite(const ModelOptions& options);
Graph build_regnet_x_1_6gf_fpnlite(const ModelOptions& options);
Graph build_regnet_x_3_2gf_fpnlite(const ModelOptions& options);

}  // namespace binade
