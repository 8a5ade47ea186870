// Which network a job works on: a file or a name of the zoo, whose weights, which preprocessing.
#pragma once

#include <string>

#include "core/model/model.hpp"
#include "core/model/model_format.hpp"
#include "core/passes/load_weights.hpp"

namespace binade {

/// A network as a file or a name, and what is overlaid on it.
struct NetworkSource {
  std::string model;                  ///< an .onnx file, a checkpoint (.h5) or a name of the zoo
  std::string output;                 ///< which of several outputs of a file
  std::string class_offset = "auto";  ///< outputs before that of class 0; auto: as the file says
  std::string input_size;  ///< "224" or "360x480" (height x width), where file or zoo leave it open; empty: as they say
  std::string weights;     ///< a network whose weights the model takes; empty: it keeps its own
  std::string weights_map = "auto", weights_part = "all";
  std::string weights_names;  ///< a file of pairs of names
  /// What the model's own preprocessing is overlaid with; empty: as the model says.
  std::string resize, interpolation, color, mean, scale;
  std::string mean01, std01;  ///< the same for pixels of 0..1, as torchvision has it
  int size = 0;
};

/// What --output, --class-offset and --input-size say. @throws UsageError for a number or size that is none
ReadOptions read_options(const NetworkSource& network);
/// The model with the weights of --weights and the preprocessing that the source overlays. @throws UsageError without
/// --model; DataError if the weights do not fit
Model open_network(const NetworkSource& network, LoadedWeights* loaded = nullptr);
/// The model with what [preprocessing] overlays.
Model with_preprocessing(Model model, const NetworkSource& network);
/// What identifies a network in results: the SHA-256 of its layers and parameters. Equal networks have equal hashes,
/// whatever file they are in and whenever it was written.
std::string model_hash(const Model& model);

}  // namespace binade
