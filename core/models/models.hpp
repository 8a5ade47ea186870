// The zoo: networks by name, built from their definition with random parameters.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/graph/graph.hpp"
#include "core/io/model.hpp"

namespace binade {

/// What may vary about a network of the zoo. What is left at zero (or negative) is as the table says.
struct ModelOptions {
  std::uint64_t seed = 0;  ///< of the initial parameters
  double width = 1;        ///< factor on the channels, for the networks that have it
  int classes = 0;
  Shape input{1, 0, 0, 0};
  double dropout = -1;  ///< probability before the classifier, or in the decoder
};

/// How the definition's home turns images into inputs.
enum class InputRule : std::uint8_t {
  imagenet,  ///< RGB, less ImageNet's mean, over its deviation; short side to 256/224 of the crop, but images below 100
             ///< pixels as they come
  centred,   ///< RGB, (x - 128) / 64, the whole image stretched to the input: TI's segmentation networks
};

struct ModelEntry {
  std::string_view name, summary;
  /// Wants every option set: see build_graph.
  Graph (*build)(const ModelOptions&);
  Shape input{1, 224, 224, 3};  ///< n = 1
  int classes = 1000;
  double dropout = 0;
  bool has_width = false;
  InputRule rule = InputRule::imagenet;
  Task task = Task::classification;
};

/// By family, then size.
std::span<const ModelEntry> model_table();

/// @throws UsageError for an unknown name, with all known ones and the nearest
const ModelEntry& find_model(std::string_view name);

/// The network with the table's values for the options that are not set.
/// @throws UsageError for a width that the network does not have, or an option out of its range
Graph build_graph(const ModelEntry& entry, ModelOptions options = {});

/// The same with all that is needed to use it.
Model build_model(std::string_view name, const ModelOptions& options = {});

// The builders, one file per family.
Graph build_mobilenet_v1(const ModelOptions& options);
Graph build_mobilenet_v2(const ModelOptions& options);
Graph build_mobilenet_v2_ti(const ModelOptions& options);
Graph build_tiny_mobilenet(const ModelOptions& options);
Graph build_resnet18(const ModelOptions& options);
Graph build_resnet50(const ModelOptions& options);
Graph build_resnet20(const ModelOptions& options);
Graph build_mobilenet_v2_deeplabv3lite(const ModelOptions& options);
Graph build_mobilenet_v2_unetlite(const ModelOptions& options);
Graph build_mobilenet_v2_fpnlite(const ModelOptions& options);

}  // namespace binade
